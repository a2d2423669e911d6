"""Variables that lead out of the sandbox, which its shell and its processes must not inherit.

What the sandbox sets itself (`SandboxProject.environment`) need not be here. A test holds every
variable that is read against the two, and against what is let through for a reason.
"""

from __future__ import annotations

import os

from flow import backends

FOREIGN = (
    # Other accounts at Hetzner and GitHub, and what addresses them past the sandbox's addresses.
    *("HCLOUD_CONFIG", "HCLOUD_CONTEXT"),
    *("FLOW_GITHUB_TOKEN", "GH_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"),
    *("GH_HOST", "GH_REPO", "GITHUB_BASE_URL", "GITHUB_OWNER", "GITHUB_ORGANIZATION"),
    *("GITHUB_APP_ID", "GITHUB_APP_INSTALLATION_ID", "GITHUB_APP_PEM_FILE"),
    # Machines that exist: a demo would be installed on one.
    *("DEMO_HOSTS", "DEMO_SSH_KEY"),
    # Other states, and what opens or chooses them.
    *("PULUMI_ACCESS_TOKEN", "PULUMI_API", "PULUMI_CREDENTIALS_PATH"),
    *("PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_OPTION_STACK", "PULUMI_STACK"),
    *sorted(backends.ENDED),
    # Other buckets: the engine's state, and backups.
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"),
    *("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"),
    *("BACKUP_KEEP", "BACKUP_TICKET", "FLOW_DUMP_IDENTITY", "FLOW_DUMP_RECIPIENT"),
    # Other registries.
    *("IMAGES", "REGISTRY_PUSH_USERNAME", "REGISTRY_PUSH_PASSWORD"),
    # Who is told of demos.
    *("FLOW_WEBHOOK_KIND", "FLOW_WEBHOOK_URL"),
    # A team's answers to `flow init`, and what a run of theirs has built.
    *("FLOW_COMPOSE_FILE", "FLOW_DEPLOYMENT", "FLOW_DOMAIN", "FLOW_EMAIL", "FLOW_IMAGES"),
)


def inherited() -> dict[str, str]:
    """This process's environment without them."""
    return {name: value for name, value in os.environ.items() if name not in FOREIGN}


def blank() -> dict[str, str]:
    """Those that are set, as empty: for who is given our environment and more on top of it."""
    return {name: "" for name in FOREIGN if os.environ.get(name)}
