"""Images at their registries: who needs which, and the removal of those nobody needs."""
