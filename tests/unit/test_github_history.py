"""Refs, branches, commits, contents and git's own objects, driven by PyGithub."""

import datetime
import io
import tarfile
from typing import Any

import github
import httpx
import pytest
from github import InputGitAuthor, InputGitTreeElement

from tests.unit.github_hub import FULL_NAME, Served, refused
from tests.unit.github_hub import served as served


@pytest.fixture
def repo(served: Served) -> Any:
    """The repository with one commit on main."""
    served.repo.create_file("README.md", "first", "hello\n")
    served.told()
    return served.repo


def test_the_first_file_makes_the_default_branch(served: Served) -> None:
    assert refused(404, served.repo.get_contents, "") == "This repository is empty."
    assert refused(409, list, served.repo.get_commits()) == "Git Repository is empty."
    made = served.repo.create_file("docs/a b.md", "first", "hello\n")
    assert served.told() == ["create refs/heads/main", "push refs/heads/main"]
    assert served.repo.get_branch("main").commit.sha == made["commit"].sha
    assert served.repo.get_contents("docs/a b.md").decoded_content == b"hello\n"
    assert [c.type for c in served.repo.get_contents("")] == ["dir"]


def test_a_file_is_changed_only_by_who_knows_what_is_there(served: Served, repo: Any) -> None:
    old = repo.get_contents("README.md")
    repo.update_file("README.md", "second", "new\n", old.sha)
    assert "does not match" in refused(409, repo.update_file, "README.md", "x", "y", old.sha)
    assert "sha" in refused(422, repo.create_file, "README.md", "again", "z")
    assert served.told() == ["push refs/heads/main"]
    now = repo.get_contents("README.md")
    repo.delete_file("README.md", "gone", now.sha)
    refused(404, repo.get_contents, "README.md")
    assert repo.get_contents("README.md", ref=repo.get_commits()[1].sha).decoded_content == b"new\n"
    messages = [commit.commit.message for commit in repo.get_commits()]
    assert messages == ["gone", "second", "first"]
    assert [c.commit.message for c in repo.get_commits(path="README.md")] == messages
    refused(422, repo.create_file, "a/.git/config", "x", "y")


def test_a_commit_carries_the_name_of_who_made_it(served: Served, repo: Any) -> None:
    developers = served.client("developer").get_repo(FULL_NAME)
    made = developers.create_file("x", "by me", "1")["commit"]
    found = repo.get_commit(made.sha)
    assert found.author.login == "developer"
    assert found.stats.additions == 1
    assert [file.filename for file in found.files] == ["x"]
    assert found.commit.author.date.tzinfo == datetime.UTC
    assert [c.sha for c in repo.get_commits(author="developer")] == [made.sha]


def test_a_ref_is_made_moved_and_removed_with_the_events_of_a_push(
    served: Served, repo: Any
) -> None:
    first = repo.get_branch("main").commit.sha
    repo.create_git_ref("refs/heads/feature-demo/x", first)
    assert served.told() == [
        "create refs/heads/feature-demo/x",
        "push refs/heads/feature-demo/x",
    ]
    refused(422, repo.create_git_ref, "refs/heads/feature-demo/x", first)
    refused(422, repo.create_git_ref, "refs/heads/y", "0" * 40)
    refused(422, repo.create_git_ref, "heads/y", first)
    repo.update_file("README.md", "s", "2", repo.get_contents("README.md").sha)
    ref = repo.get_git_ref("heads/feature-demo/x")
    ref.edit(repo.get_branch("main").commit.sha)
    assert refused(422, ref.edit, first) == "Update is not a fast forward"
    ref.edit(first, force=True)
    assert repo.get_branch("feature-demo/x").commit.sha == first
    assert [r.ref for r in repo.get_git_matching_refs("heads/feature-demo/")] == [
        "refs/heads/feature-demo/x"
    ]
    served.told()
    ref.delete()
    assert served.told() == ["delete refs/heads/main"]
    refused(404, repo.get_git_ref, "heads/feature-demo/x")
    refused(422, repo.get_git_ref("heads/main").delete)
    assert {b.name for b in repo.get_branches()} == {"main"}


def test_the_rules_of_a_push_hold_for_the_api_too(served: Served, repo: Any) -> None:
    sha = repo.get_branch("main").commit.sha
    body = {
        "name": "all", "enforcement": "active", "target": "branch",
        "conditions": {"ref_name": {"include": ["~ALL"], "exclude": []}},
        "rules": [{"type": "deletion"}, {"type": "non_fast_forward"}, {"type": "update"}],
    }  # fmt: skip
    rulesets = f"/repos/{FULL_NAME}/rulesets"
    made = served.raw.post(rulesets, json=body).json()
    assert [b.protected for b in repo.get_branches()] == [True]
    repo.create_git_ref("refs/heads/x", sha)
    assert "Cannot delete this branch" in refused(422, repo.get_git_ref("heads/x").delete)
    assert "protected ref" in refused(409, repo.create_file, "y", "m", "c", branch="x")
    assert served.raw.get(f"{rulesets}/{made['id']}").json()["current_user_can_bypass"] == "never"
    changed = {**body, "enforcement": "disabled"}
    assert served.raw.put(f"{rulesets}/{made['id']}", json=changed).status_code == 200
    repo.create_file("y", "m", "c", branch="x")
    assert served.raw.get(f"/repos/{FULL_NAME}/rules/branches/x").json() == []
    assert served.raw.delete(f"{rulesets}/{made['id']}").status_code == 204
    assert served.raw.get(rulesets).json() == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"rules": [{"type": "nonsense"}]},
        {"rules": [{"type": "pull_request", "parameters": {}}]},
        {"conditions": {"ref_name": {"include": ["main"], "exclude": []}}},
        {"enforcement": "perhaps"},
        {"bypass_actors": [{"actor_type": "Somebody"}]},
    ],
)
def test_a_ruleset_that_would_hold_nothing_is_refused(
    served: Served, wrong: dict[str, Any]
) -> None:
    body = {"name": "x", "enforcement": "active", **wrong}
    assert served.raw.post(f"/repos/{FULL_NAME}/rulesets", json=body).status_code == 422


def test_two_branches_are_compared_both_ways(served: Served, repo: Any) -> None:
    base = repo.get_branch("main").commit.sha
    repo.create_git_ref("refs/heads/staging", base)
    for name in ("a", "b"):
        repo.create_file(name, f"add {name}", name, branch="staging")
    repo.create_file("c", "add c", "c")
    compared = repo.compare("main", "staging")
    assert (compared.status, compared.ahead_by, compared.behind_by) == ("diverged", 2, 1)
    assert [c.commit.message for c in compared.commits] == ["add a", "add b"]
    assert compared.merge_base_commit.sha == base
    assert sorted(file.filename for file in compared.files) == ["a", "b"]
    assert repo.compare("staging", "staging").status == "identical"
    refused(404, repo.compare, "main", "nothing")


def test_a_branch_gets_another_name_and_the_default_follows(served: Served, repo: Any) -> None:
    repo.rename_branch(repo.get_branch("main"), "development")
    assert {b.name for b in repo.get_branches()} == {"development"}
    again = served.client().get_repo(FULL_NAME)
    assert again.default_branch == "development"
    assert "create refs/heads/development" in served.told()


def test_commits_are_built_from_blobs_and_trees(served: Served, repo: Any) -> None:
    main = repo.get_branch("main").commit
    blob = repo.create_git_blob("aGk=", "base64")
    assert repo.get_git_blob(blob.sha).size == 2
    tree = repo.create_git_tree(
        [
            InputGitTreeElement("bin/run", "100755", "blob", sha=blob.sha),
            InputGitTreeElement("note", "100644", "blob", content="text"),
        ],
        base_tree=main.commit.tree,
    )
    author = InputGitAuthor("Ann", "ann@example.org", "2030-01-02T03:04:05Z")
    parents = [repo.get_git_commit(main.sha)]
    commit = repo.create_git_commit("built", tree, parents, author)
    assert commit.author.date == datetime.datetime(2030, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    repo.get_git_ref("heads/main").edit(commit.sha)
    paths = {e.path: e.mode for e in repo.get_git_tree("main", recursive=True).tree}
    assert paths == {"README.md": "100644", "bin": "040000", "bin/run": "100755", "note": "100644"}
    without = repo.create_git_tree(
        [InputGitTreeElement("bin/run", "100755", "blob", sha=None)], base_tree=tree
    )
    assert {e.path for e in without.tree} == {"README.md", "note"}
    tag = repo.create_git_tag("v1", "first", commit.sha, "commit")
    repo.create_git_ref("refs/tags/v1", tag.sha)
    assert [(t.name, t.commit.sha) for t in repo.get_tags()] == [("v1", commit.sha)]
    assert repo.get_git_tag(tag.sha).object.sha == commit.sha
    with pytest.raises(github.GithubException):
        repo.create_git_commit("x", tree, [repo.get_git_commit("0" * 40)])


def test_raw_answers_come_to_who_asks_for_them(served: Served, repo: Any) -> None:
    raw = {"Accept": "application/vnd.github.raw+json"}
    path = f"/repos/{FULL_NAME}"
    assert served.raw.get(f"{path}/contents/README.md", headers=raw).text == "hello\n"
    sha = {"Accept": "application/vnd.github.sha"}
    told = served.raw.get(f"{path}/commits/main", headers=sha).text
    assert told == repo.get_branch("main").commit.sha


def test_the_files_of_a_commit_come_in_one_archive(served: Served, repo: Any) -> None:
    address = repo.get_archive_link("tarball", "main")
    packed = httpx.get(address, timeout=20).content
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        sha = repo.get_branch("main").commit.sha
        assert f"example-org-fieldwork-{sha[:7]}/README.md" in archive.getnames()
    assert httpx.get(repo.get_archive_link("zipball", "main"), timeout=20).content[:2] == b"PK"
    assert httpx.get(address.replace("token=", "token=0"), timeout=20).status_code == 404


def test_a_token_without_the_workflows_permission_writes_no_workflow(
    served: Served, repo: Any
) -> None:
    token = served.hub.tokens.mint(
        "developer", "fine_grained", permissions={"contents": "write"}, repositories=[FULL_NAME]
    )
    limited = served.client(token=token).get_repo(FULL_NAME)
    limited.create_file("x", "m", "c")
    refused(403, limited.create_file, ".github/workflows/ci.yml", "m", "on: push")
    served.client("developer").get_repo(FULL_NAME).create_file(
        ".github/workflows/ci.yml", "m", "on: push"
    )


def test_who_only_reads_writes_nothing(served: Served, repo: Any) -> None:
    served.repo.add_to_collaborators("outsider", "pull")
    reading = served.client("outsider").get_repo(FULL_NAME)
    assert reading.get_contents("README.md").decoded_content == b"hello\n"
    refused(403, reading.create_file, "x", "m", "c")
    refused(403, reading.create_git_ref, "refs/heads/x", reading.get_branch("main").commit.sha)
