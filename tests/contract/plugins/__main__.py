"""Make one resource of every provider this project uses."""

import pulumi_hcloud as hcloud
from pulumi_command import local

local.Command("command", create="true")
hcloud.SshKey("key", public_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== contract")
