"""How the API shows pull requests, and the events of them."""

from typing import Any

from sandbox.github import accounts, issue_records, merging, payloads
from sandbox.github.access import Caller
from sandbox.github.hub import Event, Hub
from sandbox.store import Record


def simple(hub: Hub, repository: Record, pull: Record) -> dict[str, Any]:
    """A pull request as it stands in lists."""
    issue = issue_records.find(hub, pull["project"], pull["number"])
    number = pull["number"]
    api = f"{hub.api}/repos/{pull['project']}"
    address, comments = f"{api}/pulls/{number}", f"{api}/issues/{number}/comments"
    html = f"{hub.url}/{pull['project']}/pull/{number}"
    urls = {
        "url": address,
        "html_url": html,
        "issue_url": f"{api}/issues/{number}",
        "comments_url": comments,
        "review_comments_url": f"{address}/comments",
        "review_comment_url": f"{api}/pulls/comments{{/number}}",
        "commits_url": f"{address}/commits",
        "statuses_url": f"{api}/statuses/{pull['head_sha']}",
    }
    links = {
        "self" if name == "url" else name.removesuffix("_url"): {"href": value}
        for name, value in urls.items()
    }
    return {
        **(shared := issue_records.shared_shape(hub, repository, issue)),
        # Of a pull request's labels the description says that theirs is text.
        "labels": [{**each, "description": each["description"] or ""} for each in shared["labels"]],
        "id": pull["id"],
        "node_id": f"PR_{pull['id']}",
        **urls,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "merged_at": pull["merged_at"],
        "merge_commit_sha": pull["merge_commit_sha"],
        "requested_reviewers": [accounts.simple(hub, p) for p in pull["requested_reviewers"]],
        "requested_teams": [],
        "head": _end(hub, hub.store.get("repository", pull["head_repository"]), pull, "head"),
        "base": _end(hub, repository, pull, "base"),
        "_links": links,
        "auto_merge": None,
        "draft": pull["draft"],
    }


def _end(hub: Hub, repository: Record | None, pull: Record, side: str) -> dict[str, Any]:
    owner = repository["owner"] if repository else pull["head_owner"]
    ref = pull[f"{side}_ref"]
    return {
        "label": f"{owner}:{ref}",
        "ref": ref,
        "sha": pull[f"{side}_sha"],
        "user": accounts.simple(hub, owner),
        "repo": payloads.repository(hub, repository) if repository else None,
    }


def full(hub: Hub, repository: Record, pull: Record, mergeable_state: str) -> dict[str, Any]:
    """A pull request by itself, with its size and whether it can be merged."""
    shown = simple(hub, repository, pull)
    issue = issue_records.find(hub, pull["project"], pull["number"])
    git = hub.git(repository)
    base = merging.merge_base(git, pull["base_sha"], pull["head_sha"]) or pull["base_sha"]
    counts = [
        line.split("\t")
        for line in git.run("diff", "--numstat", base, pull["head_sha"]).splitlines()
    ]
    review_comments = [
        comment
        for comment in hub.store.all("review_comment", pull["project"])
        if comment["number"] == pull["number"]
    ]
    count = git.run("rev-list", "--count", f"{pull['base_sha']}..{pull['head_sha']}")
    return {
        **shown,
        "merged": pull["merged"],
        "mergeable": pull["mergeable"] if issue["state"] == "open" else None,
        "rebaseable": pull["mergeable"] if issue["state"] == "open" else None,
        "mergeable_state": mergeable_state,
        "merged_by": accounts.simple(hub, pull["merged_by"]) if pull["merged_by"] else None,
        "comments": len(issue_records.comments(hub, issue)),
        "review_comments": len(review_comments),
        "maintainer_can_modify": pull["maintainer_can_modify"],
        "commits": int(count),
        # A binary file's counts are "-".
        "additions": sum(int(added) for added, _, _ in counts if added.isdecimal()),
        "deletions": sum(int(gone) for _, gone, _ in counts if gone.isdecimal()),
        "changed_files": len(counts),
    }


def event(
    hub: Hub, repository: Record, pull: Record, caller: Caller, action: str, **more: Any
) -> Event:
    """A pull_request event. It runs on the trial merge; `sha` is "" while that conflicts.

    A merged one's runs on the base's branch, as the trial merge is gone.
    """
    ref, sha = f"refs/pull/{pull['number']}/merge", pull["merge_commit_sha"] or ""
    if pull["merged"]:
        ref = f"refs/heads/{pull['base_ref']}"
    state = "unknown" if pull["mergeable"] is not False else "dirty"
    payload = {
        "action": action,
        "number": pull["number"],
        "pull_request": full(hub, repository, pull, state),
        **more,
        **payloads.around(hub, repository, caller.login),
    }
    return hub.event(
        caller, repository, "pull_request", ref=ref, sha=sha, action=action, payload=payload
    )
