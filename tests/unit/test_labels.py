"""Labels at Hetzner: what they say, and that Hetzner takes them."""

from hypothesis import given
from hypothesis import strategies as st

from components import labels
from tests.unit.test_naming import LABEL_VALUE, branches


def test_labels_say_what_made_a_thing_and_when_it_ends() -> None:
    assert labels.labels(
        project="deployment-flow",
        stack="feature-demo-hello",
        stage="demo",
        branch="feature-demo/hello",
        expires=1893456000,
    ) == {
        "managed-by": "deployment-flow",
        "project": "deployment-flow",
        "stack": "feature-demo-hello",
        "stage": "demo",
        "branch": "feature-demo-hello",
        "expires": "1893456000",
    }


def test_what_has_no_end_carries_none() -> None:
    assert "expires" not in labels.labels(project="p", stack="prod", stage="prod", branch="main")


def test_the_selector_finds_one_stack_of_one_project() -> None:
    assert (
        labels.selector(project="deployment-flow", stack="dev")
        == "managed-by=deployment-flow,project=deployment-flow,stack=dev"
    )


@given(st.text(max_size=100), st.text(max_size=100), branches)
def test_hetzner_takes_every_value(project: str, stack: str, branch: str) -> None:
    made = labels.labels(project=project, stack=stack, stage="demo", branch=branch, expires=1)
    assert all(LABEL_VALUE.fullmatch(value) for value in made.values())
