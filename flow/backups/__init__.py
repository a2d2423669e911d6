"""Backups of an environment's data: made, listed, kept for a while, restored, and rehearsed."""
