"""The story of a team that the rehearsal tells: people, what they do, and what came of it."""
