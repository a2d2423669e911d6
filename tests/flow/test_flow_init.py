"""A second application, from tokens to its pull request: `flow init`, told everything.

Its states are in three buckets, each with a key that opens no other.
"""

import base64
import json
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import hcloud
import httpx
import pytest
import yaml

from flow import backends, caller, git
from flow.onboarding import bug_form
from flow.sandbox_project import SandboxProject, sandbox_project
from tests.flow.buckets import Buckets
from tests.flow.second_application import OWNER, ROOT, Application, opening, said

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1200)]
STAGES = ("dev", "staging", "prod")
FINE = {
    **dict.fromkeys(("administration", "contents", "environments"), "write"),
    **dict.fromkeys(("issues", "pull_requests", "workflows"), "write"),
    "actions": "read",
    "metadata": "read",
}


def _hetzner(project: SandboxProject, name: str, zone: str) -> str:
    """A new Hetzner project with a zone; its token."""
    endpoint = str(project.credentials["endpoint"])
    control = endpoint.removesuffix("/v1") + "/_sandbox/projects"
    made = httpx.post(control, json={"name": name}, timeout=30, trust_env=False)
    token = str(made.raise_for_status().json()["project"]["token"])
    hcloud.Client(token=token, api_endpoint=endpoint).zones.create(name=zone, mode="primary")
    return token


def _clone(application: Application) -> None:
    """As a person has it: cloned by name, with a name of their own in the commits."""
    url = str(application.site.base_url)
    application.git("init", "--quiet", "--initial-branch=main")
    application.git("remote", "add", "origin", f"{url.rstrip('/')}/{application.deployment}.git")
    token = application.environment["GITHUB_TOKEN"]
    git.run(application.folder, "pull", "--quiet", "origin", "main", token=token)


def _folder(project: SandboxProject, folder: Path) -> None:
    """The template's settings, with the sandbox's own addresses."""
    committed = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
    main = os.path.relpath(ROOT, folder)
    trust = Path(str(project.credentials["ca"])).read_text()
    made = sandbox_project(committed, project.credentials, main=main, acme_root=trust)
    made["config"]["images"]["default"] = "ghcr.io/example-org/fieldwork"
    made["config"]["zone"]["default"] = ""
    (folder / "Pulumi.yaml").write_text(yaml.safe_dump(made, sort_keys=False))
    for stage in STAGES:
        name = f"Pulumi.{stage}.yaml"
        (folder / name).write_text((ROOT / name).read_text())


@pytest.fixture(scope="module")
def application(
    shared_project: SandboxProject, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Application]:
    name = f"second-{secrets.token_hex(3)}"
    folder = tmp_path_factory.mktemp(name)
    known = shared_project.credentials["github"]
    zones = {"prod": f"{name}.test", "nonprod": f"{name}-nonprod.test", "demo": f"{name}-demo.test"}
    tokens = {k: _hetzner(shared_project, f"{name}-{k}", zone) for k, zone in zones.items()}
    credentials = shared_project.credentials
    buckets = Buckets(credentials["objects"], str(credentials["trust"]))
    states = {each: buckets.make(f"{name}-{each}") for each in backends.GROUPS}
    inherited = {key: os.environ[key] for key in ("HOME", "LANG") if key in os.environ}
    unwanted = ("GITHUB_REPOSITORY", "HCLOUD_TOKEN", "PULUMI_BACKEND_URL", *backends.ENDED)
    environment = {
        **inherited,
        **{k: v for k, v in shared_project.environment().items() if k not in unwanted},
        **{f"HCLOUD_TOKEN_{key.upper()}": value for key, value in tokens.items()},
        **{
            backends.of_group(variable, each): value
            for each, bucket in states.items()
            for variable, value in opening(bucket).items()
        },
        "PULUMI_OPTION_CWD": str(folder),
        "PYTHONPATH": str(ROOT),
        "NO_COLOR": "1",
        **{f"GIT_{who}_NAME": "ada" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "ada@example.test" for who in ("AUTHOR", "COMMITTER")},
    }
    del environment["PULUMI_CONFIG_PASSPHRASE"]
    token = str(known["users"]["maintainer"]["token"])
    api = httpx.Client(
        base_url=known["api"],
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
        trust_env=False,
    )
    site = httpx.Client(base_url=known["url"], timeout=30, trust_env=False)
    made = Application(name, folder, environment, api, site, states)
    body = {"name": name, "private": True, "auto_init": True}
    for each in (body, {**body, "name": f"{name}-deployment"}):
        api.post(f"/orgs/{OWNER}/repos", json=each).raise_for_status()
    # As a team has it that squashes everything.
    squashed = {"allow_merge_commit": False}
    api.patch(f"/repos/{made.full_name}", json=squashed).raise_for_status()
    _clone(made)
    _folder(shared_project, folder)
    made.git("add", "Pulumi.yaml", *(f"Pulumi.{each}.yaml" for each in STAGES))
    made.git("commit", "--quiet", "-m", "The template")
    access = f"/repos/{made.full_name}/collaborators/reviewer"
    api.put(access, json={"permission": "push"}).raise_for_status()
    yield made
    for key, zone in zones.items():
        cloud = hcloud.Client(
            token=tokens[key], api_endpoint=str(shared_project.credentials["endpoint"])
        )
        cloud.zones.delete(cloud.zones.get(zone)).action.wait_until_finished()
    for full_name in (made.full_name, made.deployment):
        api.delete(f"/repos/{full_name}")
    api.close()
    site.close()


def test_what_is_wrong_with_the_tokens_is_named_before_anything_is_made(
    application: Application, shared_project: SandboxProject
) -> None:
    before = {each.name: each.read_text() for each in application.folder.glob("Pulumi*")}
    known = shared_project.credentials["projects"]["prod"]
    wrong = {
        "HCLOUD_TOKEN_PROD": known["read_only_token"],
        "HCLOUD_TOKEN_DEMO": application.environment["HCLOUD_TOKEN_NONPROD"],
        "GITHUB_TOKEN": application.token({**FINE, "environments": "read", "contents": "read"}),
    }
    refused = application.init(**wrong)
    assert refused.returncode == 1, said(refused)
    for problem in (
        "token of prod may only read",
        "two are the same",
        "lacks Contents: read and write",
        "lacks Environments: read and write",
    ):
        assert problem in refused.stderr
    assert not [value for value in wrong.values() if value in said(refused)]
    after = {each.name: each.read_text() for each in application.folder.glob("Pulumi*")}
    assert after == before
    assert application.environments() == {}
    assert [bucket.names() for bucket in application.states.values()] == [[], [], []]


def test_init_makes_everything_and_a_second_one_changes_nothing(application: Application) -> None:
    planned = application.init("--dry-run", "--json")
    assert planned.returncode == 0, said(planned)
    assert json.loads(planned.stdout)["state"] == "planned"
    assert "merge commits allowed" in planned.stdout
    assert application.get("")["allow_merge_commit"] is False
    assert application.environments() == {}
    token = application.token(FINE)
    made = application.init("--json", GITHUB_TOKEN=token)
    assert made.returncode == 0, said(made)
    shown = re.findall(r"(PULUMI_CONFIG_PASSPHRASE_\w+)=(\S+)", made.stderr)
    assert len(dict(shown)) == len({word for _, word in shown}) == 3
    application.environment.update(shown)
    _check_states(application)
    _check_settings(application)
    _check_github(application)
    _check_pin(application)
    (pull,) = application.get("/pulls")
    assert pull["html_url"] in made.stderr
    again = application.init("--json", GITHUB_TOKEN=token)
    assert again.returncode == 0, said(again)
    assert json.loads(again.stdout)["state"] == "nothing", again.stdout
    assert "nothing was changed" in again.stderr
    assert pull["html_url"] in again.stderr


def _check_states(application: Application) -> None:
    """What a run in flow-demo is given opens the demos' state, and none of the others'."""
    own = {
        name: {
            each["name"]: each["value"]
            for each in application.get(f"/environments/{name}/variables")["variables"]
        }["PULUMI_BACKEND_URL"]
        for name in application.environments()
    }
    assert own == {f"flow-{group}": bucket.url for group, bucket in application.states.items()}
    as_in_demo = {
        **opening(application.states["demo"]),
        "PULUMI_CONFIG_PASSPHRASE": application.environment["PULUMI_CONFIG_PASSPHRASE_DEMO"],
    }
    assert not application.names(**as_in_demo)
    as_in_demo["PULUMI_BACKEND_URL"] = own["flow-prod"]
    shut = application.pulumi("stack", "ls", **as_in_demo)
    assert shut.returncode != 0
    assert "AccessDenied" in shut.stderr
    # Even with the key of production's bucket in hand its secrets stay shut.
    as_in_demo.update(opening(application.states["prod"]))
    assert application.names(**as_in_demo) == ["prod"]
    stolen = application.pulumi("config", "get", "hcloud:token", "-s", "prod", **as_in_demo)
    assert stolen.returncode != 0
    assert "incorrect passphrase" in stolen.stderr


def _check_settings(application: Application) -> None:
    domain, before = application.domain, f"{application.name}-nonprod.test"
    wanted = {"dev": before, "staging": before, "prod": domain}
    for stage, zone in wanted.items():
        text = (application.folder / f"Pulumi.{stage}.yaml").read_text()
        config = yaml.safe_load(text)["config"]
        assert config["deployment-flow:zone"] == zone
        assert config["deployment-flow:acmeEmail"] == f"ops@{domain}"
        assert set(config["hcloud:token"]) == {"secure"}
        assert "example.org" not in str(config)
        assert text.startswith("# "), "the comments stay"
    declared = yaml.safe_load((application.folder / "Pulumi.yaml").read_text())["config"]
    assert declared["images"]["default"] == f"registry.sandbox.test/{application.name}"
    assert declared["zone"]["default"] == f"{application.name}-demo.test"


def _check_pin(application: Application) -> None:
    """What the workflow calls is a commit that has the settings."""
    file = application.get(f"/contents/{caller.FILE}?ref=flow-init")
    pinned = caller.pinned(base64.b64decode(file["content"]).decode())
    assert pinned is not None
    repository, commit = pinned
    assert repository == application.deployment
    path = f"/repos/{repository}/contents/Pulumi.prod.yaml"
    found = application.api.get(path, params={"ref": commit}).raise_for_status().json()
    text = base64.b64decode(found["content"]).decode()
    assert text == (application.folder / "Pulumi.prod.yaml").read_text()
    assert application.git("status", "--porcelain", "--untracked-files=no") == ""


def _check_github(application: Application) -> None:
    assert application.get("")["allow_merge_commit"] is True
    found = application.environments()
    assert set(found) == {"flow-nonprod", "flow-prod", "flow-demo"}
    for name in found:
        secrets_of = application.get(f"/environments/{name}/secrets")["secrets"]
        wanted = {"HCLOUD_TOKEN", "PULUMI_CONFIG_PASSPHRASE", "REGISTRY_PASSWORD"}
        wanted |= {"STATE_ACCESS_KEY_ID", "STATE_SECRET_ACCESS_KEY"}
        if name == "flow-nonprod":
            # The shell of the sandbox has a bucket, which is therefore where nights save staging.
            wanted |= {"BACKUP_ACCESS_KEY_ID", "BACKUP_SECRET_ACCESS_KEY"}
        assert {each["name"] for each in secrets_of} == wanted
    (asked,) = [
        each["reviewer"]["login"]
        for rule in found["flow-prod"]["protection_rules"]
        for each in rule.get("reviewers") or []
    ]
    assert asked == "reviewer"
    runs = application.get("/actions/permissions/workflow")
    assert runs["can_approve_pull_request_reviews"] is True
    assert application.get("")["default_branch"] == "development"
    (pull,) = application.get("/pulls")
    assert pull["base"]["ref"] == "development"
    files = {each["filename"] for each in application.get(f"/pulls/{pull['number']}/files")}
    assert files == {caller.FILE, bug_form.FILE}


def test_once_its_pull_request_is_merged_the_doctor_misses_nothing(
    application: Application,
) -> None:
    for pull in application.get("/pulls"):
        path = f"/repos/{application.full_name}/pulls/{pull['number']}/merge"
        application.api.put(path, json={}).raise_for_status()
    # Both repositories are private.
    application.let_in("organization")
    looked = application.flow(
        "doctor",
        "--json",
        GITHUB_REPOSITORY=application.full_name,
        HCLOUD_TOKEN=application.environment["HCLOUD_TOKEN_DEMO"],
    )
    found = {each["name"]: each for each in json.loads(looked.stdout)["checks"]}
    wrong = [each for each in found.values() if each["state"] == "missing"]
    assert wrong == []
    assert looked.returncode == 0
    for name in (
        "stack prod",
        "states",
        "GitHub: states",
        "GitHub: flow-prod",
        "GitHub: workflow",
        "demo: Hetzner token",
    ):
        assert found[name]["state"] == "ok"
    values = [v for k, v in application.environment.items() if re.search("TOKEN|PASS|KEY", k)]
    assert not [value for value in values if value in said(looked)]


def test_the_doctor_names_what_somebody_took_away_and_what_mends_it(
    application: Application,
) -> None:
    path = f"/repos/{application.full_name}/environments/flow-demo"
    application.api.delete(f"{path}/secrets/HCLOUD_TOKEN").raise_for_status()
    (rules,) = application.get("/rulesets")
    path = f"/repos/{application.full_name}/rulesets/{rules['id']}"
    application.api.delete(path).raise_for_status()
    application.let_in("none")
    looked = application.flow(
        *("doctor", "--json"),
        GITHUB_REPOSITORY=application.full_name,
        PULUMI_CONFIG_PASSPHRASE_NONPROD="another",
    )
    assert looked.returncode == 1
    found = {each["name"]: each for each in json.loads(looked.stdout)["checks"]}
    assert found["GitHub: flow-demo"]["seen"] == "lacks the secret HCLOUD_TOKEN"
    assert found["GitHub: flow-demo"]["mend"] == "flow init"
    assert "passphrase is not this stack's" in found["stack dev"]["seen"]
    shut = found["GitHub: access to the deployment repository"]
    assert f"gh api -X PUT repos/{application.deployment}/actions" in shut["mend"]
    assert found["GitHub: tags v*"]["mend"] == "flow init"
    mended = application.init("--json")
    assert mended.returncode == 0, said(mended)
    assert [each["what"].partition(": tags")[0] for each in json.loads(mended.stdout)["steps"]] == [
        "GitHub: ruleset 'flow: release tags'",
        "GitHub: environment flow-demo: secret HCLOUD_TOKEN",
    ]
    application.let_in("organization")


def test_other_answers_replace_nothing_unasked_and_reach_the_workflow_by_a_push(
    application: Application,
) -> None:
    before = application.git("rev-parse", "HEAD")
    email = ("--email", f"new@{application.domain}")
    refused = application.init(*email)
    assert refused.returncode == 2, said(refused)
    assert "--overwrite" in refused.stderr
    assert application.git("rev-parse", "HEAD") == before
    done = application.init(*email, "--overwrite", "--push")
    assert done.returncode == 0, said(done)
    assert application.get("/pulls") == []
    after = application.git("rev-parse", "HEAD")
    assert after != before
    file = application.get(f"/contents/{caller.FILE}?ref=development")
    pinned = caller.pinned(base64.b64decode(file["content"]).decode())
    assert pinned == (application.deployment, after)
