"""One file a group of commands; each is thin: parse, call, print."""
