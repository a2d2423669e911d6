"""What reaches a server: the hand-over on the operator's machine, and what it ships."""
