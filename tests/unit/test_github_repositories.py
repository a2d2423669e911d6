"""Repositories, and who may do what in them."""

import pytest

from tests.unit.github_hub import FULL_NAME, ORGANIZATION, Served, refused
from tests.unit.github_hub import served as served


def test_a_repository_can_begin_with_a_commit(served: Served) -> None:
    organization = served.client().get_organization(ORGANIZATION)
    made = organization.create_repo("fresh", auto_init=True)
    assert made.get_contents("README.md").decoded_content == b"# fresh\n"
    assert served.told() == ["create refs/heads/main", "push refs/heads/main"]
    refused(422, organization.create_repo, "fresh")
    refused(422, organization.create_repo, "no spaces")


def test_an_owner_of_the_organisation_administers_what_others_made(served: Served) -> None:
    made = served.client("developer").get_organization(ORGANIZATION).create_repo("theirs")
    assert served.client().get_repo(made.full_name).permissions.admin
    assert served.client("developer").get_repo(made.full_name).permissions.admin


def test_a_member_reads_what_is_private_and_nobody_else_does(served: Served) -> None:
    organization = served.client().get_organization(ORGANIZATION)
    organization.create_repo("quiet", private=True)
    found = served.client("reviewer").get_repo(f"{ORGANIZATION}/quiet")
    assert found.permissions.pull
    assert not found.permissions.push
    refused(404, served.client("outsider").get_repo, f"{ORGANIZATION}/quiet")
    assert served.http("").get(f"/repos/{ORGANIZATION}/quiet").status_code == 404
    refused(403, served.client("outsider").get_organization(ORGANIZATION).create_repo, "x")


@pytest.mark.parametrize(
    ("asked", "has"), [("pull", "read"), ("push", "write"), ("maintain", "write"), ("admin",) * 2]
)
def test_a_collaborator_has_the_role_they_were_given(served: Served, asked: str, has: str) -> None:
    served.repo.add_to_collaborators("outsider", asked)
    assert served.repo.get_collaborator_permission("outsider") == has
    named = {person.login for person in served.repo.get_collaborators()}
    assert ("outsider" in named) == (asked != "pull")
    assert served.repo.has_in_collaborators("outsider")
    served.repo.remove_from_collaborators("outsider")
    assert not served.repo.has_in_collaborators("outsider")
    refused(404, served.client("outsider").get_repo, FULL_NAME)


def test_settings_are_changed_by_who_administers(served: Served) -> None:
    served.repo.create_file("x", "m", "c")
    served.repo.create_git_ref("refs/heads/development", served.repo.get_commits()[0].sha)
    served.repo.edit(description="new", default_branch="development", delete_branch_on_merge=True)
    again = served.client("developer").get_repo(FULL_NAME)
    assert (again.description, again.default_branch) == ("new", "development")
    refused(422, served.repo.edit, default_branch="nothing")
    refused(403, again.edit, description="mine")


def test_one_way_to_merge_is_left_at_least(served: Served) -> None:
    served.repo.edit(allow_merge_commit=False, allow_squash_merge=False)
    told = served.raw.patch(f"/repos/{FULL_NAME}", json={"allow_rebase_merge": False})
    assert told.status_code == 422
    assert told.json()["errors"] == [
        {
            "resource": "Repository",
            "field": "merge_commit_allowed",
            "code": "invalid",
            "message": "Sorry, you need to allow at least one merge strategy. (no_merge_method)",
        }
    ]
    served.repo.edit(allow_merge_commit=True, allow_rebase_merge=False)
    again = served.client().get_repo(FULL_NAME)
    ways = (again.allow_merge_commit, again.allow_squash_merge, again.allow_rebase_merge)
    assert ways == (True, False, False)


def test_how_pull_requests_are_merged_is_told_to_who_may_write_contents(served: Served) -> None:
    read = served.hub.tokens.mint(
        "maintainer", "fine_grained", permissions={"contents": "read", "administration": "write"}
    )
    served.repo.add_to_collaborators("outsider", "pull")
    for client, sees in (
        (served.http("developer"), True),
        (served.http("outsider"), False),
        (served.http(token=read), False),
    ):
        assert ("allow_merge_commit" in client.get(f"/repos/{FULL_NAME}").json()) == sees


def test_a_deleted_repository_leaves_nothing_for_one_of_the_same_name(served: Served) -> None:
    served.repo.create_environment("dev").create_secret("X", "y")
    folder = served.hub.git(served.hub.repository(ORGANIZATION, "fieldwork")).folder
    served.repo.delete()
    assert not folder.exists()
    again = served.client().get_organization(ORGANIZATION).create_repo("fieldwork")
    assert list(again.get_environments()) == []
    refused(404, again.get_contents, "x")


def test_what_somebody_is_in_an_organisation(served: Served) -> None:
    told = served.http("developer").get(f"/user/memberships/orgs/{ORGANIZATION}").json()
    assert told["role"] == "member"
    assert served.raw.get(f"/orgs/{ORGANIZATION}/memberships/maintainer").json()["role"] == "admin"
    outside = served.http("outsider").get(f"/orgs/{ORGANIZATION}/memberships/maintainer")
    assert outside.status_code == 404
    mine = [repo.full_name for repo in served.client("developer").get_user().get_repos()]
    assert mine == [FULL_NAME]
