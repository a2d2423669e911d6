"""Make one local Command for each entry of a JSON file: name → properties.

`secret_stdin` becomes a secret `stdin`, `timeout` a custom timeout.
"""

import json
import os
from pathlib import Path

import pulumi
from pulumi_command import local

for name, properties in json.loads(Path(os.environ["COMMANDS"]).read_text()).items():
    timeout = properties.pop("timeout", None)
    if "secret_stdin" in properties:
        properties["stdin"] = pulumi.Output.secret(properties.pop("secret_stdin"))
    local.Command(
        name,
        **properties,
        opts=pulumi.ResourceOptions(
            custom_timeouts=pulumi.CustomTimeouts(create=timeout, update=timeout)
        ),
    )
