"""A Hetzner Cloud API on this machine, true enough for the real clients."""
