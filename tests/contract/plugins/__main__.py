"""Make one resource of every provider this project uses."""

import pulumi
import pulumi_github as github
import pulumi_hcloud as hcloud
from pulumi_command import local

local.Command("command", create="true")
hcloud.SshKey("key", public_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA== contract")
hub = github.Provider("hub", owner="example-org", token="0" * 40, legacy_client=False)
github.RepositoryEnvironment(
    "environment",
    repository="contract",
    environment="contract",
    opts=pulumi.ResourceOptions(provider=hub),
)
