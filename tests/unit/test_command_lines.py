"""A command is told to others without what may be a secret."""

import pytest

from flow import command_lines

TOKEN = "aB3" * 20
COMMIT = "0a1b2c3d" * 5
SECRET = "hush-hush-hush"


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("/opt/.venv/bin/flow deploy dev --version 1.4.0", "flow deploy dev --version 1.4.0"),
        (f"pulumi up -s dev -c word={SECRET} --yes", "pulumi up -s dev -c …"),
        (f"pulumi up -cword={SECRET}", "pulumi up -c …"),
        (f"pulumi up --config=word={SECRET}", "pulumi up --config …"),
        (f"pulumi config set --secret word {SECRET}", "pulumi config …"),
        (f"flow x --secret={SECRET}", "flow x --secret …"),
        (f"flow x --api-token {SECRET} --yes", "flow x --api-token … --yes"),
        (f"flow x --api-token={SECRET} --yes", "flow x --api-token=… --yes"),
        (f"env HCLOUD_TOKEN={SECRET} pulumi up", "env HCLOUD_TOKEN=… pulumi up"),
        (f"flow x prefix-{TOKEN}", "flow x …"),
        (f"flow x https://ada:{SECRET}@example.org/a", "flow x https://…@example.org/a"),
        ("pulumi up --config-file /tmp/a.yaml", "pulumi up --config-file /tmp/a.yaml"),
        (
            f"flow deploy dev --version {'0a1b2c3d' * 5}",
            f"flow deploy dev --version {'0a1b2c3d' * 5}",
        ),
    ],
)
def test_what_may_be_a_secret_is_left_out_and_nothing_else(typed: str, told: str) -> None:
    assert command_lines.shown(typed.split(), {}) == told


def test_what_the_environment_names_a_secret_is_left_out_wherever_it_stands() -> None:
    around = {"DATABASE_PASSWORD": SECRET, "LANG": "dev"}
    assert command_lines.shown(["flow", "x", f"a:{SECRET}:b", "dev"], around) == "flow x a:…:b dev"


def test_what_others_wrote_moves_no_cursor_and_fills_no_screen() -> None:
    assert command_lines.plain("a\x1b[2J\r\nb") == "a [2J  b"
    assert len(command_lines.plain("a" * 999)) == command_lines.LONGEST
