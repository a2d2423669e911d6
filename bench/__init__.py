"""How long the flow takes, measured the way a person waits for it. `make bench`."""
