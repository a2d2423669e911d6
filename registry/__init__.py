"""Container registries: what a tag is, and the same bytes under another."""
