"""The `flow` command: what a team types besides `pulumi`."""
