"""Names of stacks, hosts, tags and resources, for any branch there can be."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from components import naming

SAFE = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
DNS_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")

# What people and attackers call branches, beside what Hypothesis thinks of.
branches = st.one_of(
    st.text(min_size=1, max_size=255),
    st.from_regex(r"feature-demo/[A-Za-z0-9_./-]{1,80}", fullmatch=True),
    st.from_regex(r"[a-z0-9]{1,12}(-[a-z0-9]{1,10}){0,4}", fullmatch=True),
)
stacks = st.one_of(
    st.sampled_from(["dev", "staging", "prod"]),
    st.from_regex(r"feature-demo-[A-Za-z0-9_.-]{1,87}", fullmatch=True),
)


@pytest.mark.parametrize(
    ("branch", "stack", "label"),
    [
        ("development", "dev", "dev"),
        ("staging", "staging", "staging"),
        ("main", "prod", "app"),
        ("feature-demo/hello", "feature-demo-hello", "hello"),
        ("feature-demo/two-words", "feature-demo-two-words", "two-words"),
    ],
)
def test_plain_branches_have_plain_names(branch: str, stack: str, label: str) -> None:
    assert naming.stack_of_branch(branch) == stack
    assert naming.host_label(stack) == label
    assert naming.branch_of_stack(stack) == branch


@pytest.mark.parametrize(
    ("branch", "kept"),
    [
        (";rm -rf /", "rm-rf"),
        ("$(curl evil)", "curl-evil"),
        ("--help", "help"),
        ("feature-demo/Foo", "foo"),
        ("feature-demo/größe", "gro"),
        ("feature-demo/a/b", "a-b"),
        ("fix-login", "fix-login"),
    ],
)
def test_an_odd_branch_can_be_recognised_in_its_stack(branch: str, kept: str) -> None:
    stack = naming.stack_of_branch(branch)
    assert re.fullmatch(rf"feature-demo-{kept}[a-z-]*-[0-9a-f]{{10}}", stack)


def test_names_that_differ_in_little_stay_apart() -> None:
    near = ["feature-demo/foo", "feature-demo/Foo", "foo", "Foo", "feature-demo-foo"]
    near += ["feature-demo/a-b", "feature-demo/a/b", "feature-demo/a_b", "feature-demo/a.b"]
    near += ["x" * 254, "x" * 255, "é", "e\u0301", "日本", "日本語", " ", "", "-", "--"]
    for name in (naming.stack_of_branch, naming.branch_slug, naming.label_value):
        assert len({name(each) for each in near}) == len(near), name.__name__


def test_a_demo_cannot_take_the_address_of_a_stage() -> None:
    for label in ("dev", "staging", "app", "www"):
        assert naming.host_label(naming.stack_of_branch(f"feature-demo/{label}")) != label


def test_a_name_that_imitates_a_hash_is_hashed_itself() -> None:
    hashed = naming.stack_of_branch("feature-demo/Foo").removeprefix("feature-demo-")
    assert naming.stack_of_branch(f"feature-demo/{hashed}") != f"feature-demo-{hashed}"


@given(branches, branches)
@example("feature-demo/a-b", "feature-demo/a/b")
def test_two_branches_never_share_a_name(one: str, other: str) -> None:
    for name in (naming.stack_of_branch, naming.branch_slug):
        assert (name(one) == name(other)) == (one == other)


@given(branches)
def test_every_branch_gives_names_that_are_valid_and_shell_safe(branch: str) -> None:
    stack = naming.stack_of_branch(branch)
    assert SAFE.fullmatch(stack)
    assert len(stack) <= naming.STACK_LENGTH
    assert naming.stage_of_stack(stack) is not None
    assert DNS_LABEL.fullmatch(naming.host_label(stack))
    assert LABEL_VALUE.fullmatch(naming.branch_slug(branch))
    assert SAFE.fullmatch(naming.branch_slug(branch))


@given(st.text(max_size=300), st.text(max_size=300))
def test_label_values_are_hetzners_and_differ(one: str, other: str) -> None:
    assert LABEL_VALUE.fullmatch(naming.label_value(one))
    assert (naming.label_value(one) == naming.label_value(other)) == (one == other)


@given(stacks, stacks)
@example("feature-demo-Foo", "feature-demo-foo")
@example("feature-demo-dev", "dev")
def test_any_stack_pulumi_accepts_gives_a_host_and_a_resource_name(one: str, other: str) -> None:
    assert DNS_LABEL.fullmatch(naming.host_label(one))
    resource = naming.resource_name("deployment-flow", one)
    assert SAFE.fullmatch(resource)
    assert len(f"{resource}-ipv4") <= 63
    if one != other:
        assert naming.host_label(one) != naming.host_label(other)
        assert resource != naming.resource_name("deployment-flow", other)


@pytest.mark.parametrize("stack", ["test", "production", "feature-demo-", "Dev", "", "--help"])
def test_other_stacks_belong_to_no_stage(stack: str) -> None:
    assert naming.stage_of_stack(stack) is None
    assert naming.branch_of_stack(stack) is None
