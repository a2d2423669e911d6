"""What runs of the sandbox's team are given: each environment opens its own group's state alone."""

from pathlib import Path

from flow import backends, run_environments
from flow.sandbox_project import SandboxProject
from flow.sandbox_team import SandboxTeam
from sandbox import credentials
from sandbox.github.environments import secrets_of, variables_of
from tests.unit.github_hub import FULL_NAME, Served
from tests.unit.github_hub import served as served


def test_what_a_job_may_read_in_one_environment_opens_no_other_s_state(
    served: Served, tmp_path: Path
) -> None:
    known = credentials.ensure(tmp_path)
    known["github"] = {
        "url": served.url,
        "api": f"{served.url}/api/v3",
        "users": {login: {"token": token} for login, token in served.tokens.items()},
    }
    team = SandboxTeam(SandboxProject(tmp_path, tmp_path / ".sandbox", known), print)
    for name in run_environments.GROUPS:
        team._environment(served.repo, name)
    read = {
        name: {
            **secrets_of(served.hub, FULL_NAME, name),
            **variables_of(served.hub, FULL_NAME, name),
        }
        for name in run_environments.GROUPS
    }
    for variable in (backends.URL, backends.PASSPHRASE, "HCLOUD_TOKEN"):
        assert len({each[variable] for each in read.values()}) == 3, variable
    token = served.tokens["maintainer"]
    assert [name for name, each in read.items() if token in each.values()] == [
        "flow-nonprod",
        "flow-prod",
    ]
    in_demo = set(read["flow-demo"].values())
    others = {
        value
        for name in ("flow-nonprod", "flow-prod")
        for key, value in read[name].items()
        if key in (backends.URL, backends.PASSPHRASE, "HCLOUD_TOKEN")
    }
    assert not in_demo & others
