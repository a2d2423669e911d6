"""Everything in this folder is copied to servers, and nothing else is."""
