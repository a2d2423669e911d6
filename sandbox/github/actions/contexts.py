"""The `github` context of a run, and the same as a job's environment variables."""

from collections.abc import Mapping
from typing import Any

from sandbox.github import rules
from sandbox.github.hub import Hub
from sandbox.store import Record

RUNNER = "sandbox"


def github(hub: Hub, repository: Record, run: Record, job: str = "") -> dict[str, Any]:
    """What expressions know as `github`; without a token."""
    ref = run["ref"]
    kind, _, short = ref.removeprefix("refs/").partition("/")
    pull = run["payload"].get("pull_request") or {}
    owner, _, name = repository["full_name"].partition("/")
    return {
        "event": run["payload"],
        "event_name": run["event"],
        "sha": run["sha"],
        "ref": ref,
        "ref_name": short,
        "ref_type": {"heads": "branch", "tags": "tag"}.get(kind, ""),
        "ref_protected": bool(rules.in_force(hub, repository, ref)),
        "base_ref": (pull.get("base") or {}).get("ref", ""),
        "head_ref": (pull.get("head") or {}).get("ref", ""),
        "repository": repository["full_name"],
        "repository_id": str(repository["id"]),
        "repository_owner": owner,
        "repositoryUrl": f"{hub.url}/{owner}/{name}.git",
        "actor": run["actor"],
        "triggering_actor": run["triggering_actor"],
        "workflow": run["name"],
        "workflow_ref": f"{repository['full_name']}/{run['path']}@{ref}",
        "workflow_sha": run["sha"],
        "job": job,
        "run_id": str(run["id"]),
        "run_number": str(run["run_number"]),
        "run_attempt": str(run["run_attempt"]),
        "retention_days": "90",
        "server_url": hub.url,
        "api_url": hub.api,
        "graphql_url": f"{hub.url}/api/graphql",
    }


def environment(context: Mapping[str, Any]) -> dict[str, str]:
    """The context as the variables a runner sets."""
    names = (
        *("actor", "api_url", "base_ref", "event_name", "graphql_url", "head_ref", "job", "ref"),
        *("ref_name", "ref_protected", "ref_type", "repository", "repository_id"),
        *("repository_owner", "retention_days", "run_attempt", "run_id", "run_number"),
        *("server_url", "sha", "triggering_actor", "workflow", "workflow_ref", "workflow_sha"),
    )
    found = {f"GITHUB_{name.upper()}": _text(context[name]) for name in names}
    return {
        **found,
        # Where act looks for it.
        "SHA_REF": str(context["sha"]),
        "RUNNER_NAME": RUNNER,
        "RUNNER_ENVIRONMENT": "self-hosted",
    }


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
