"""What a team needs before its first deploy: looked at by `flow doctor`, made by `flow init`."""
