"""Container registries: what a tag is, the same bytes under another, and their removal."""
