"""States of groups with the real engine: a stack moves from one for all to production's own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from flow import backends
from toolchain.install import Installation

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """\
import pulumi
pulumi.export("word", pulumi.Config().require_secret("word"))
"""
OLD, NEW = "of all", "of production"


class Shell:
    """A project with a stack `prod` in the one state, and a shell that has both states."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        installation = Installation()
        path = [str(Path(sys.executable).parent), str(installation.bin), os.environ["PATH"]]
        foreign = (*backends.ENDED, backends.PASSPHRASE_FILE)
        own = {name: value for name, value in os.environ.items() if name not in foreign}
        self.environment = {
            **own,
            "PATH": os.pathsep.join(path),
            "PYTHONPATH": str(ROOT),
            "PULUMI_HOME": str(installation.home),
            "PULUMI_OPTION_CWD": str(folder),
            "PULUMI_SKIP_UPDATE_CHECK": "1",
            "PULUMI_BACKEND_URL": (folder / "all").as_uri(),
            "PULUMI_BACKEND_URL_PROD": (folder / "own").as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": OLD,
            "PULUMI_CONFIG_PASSPHRASE_PROD": NEW,
        }
        for each in ("all", "own"):
            (folder / each).mkdir()
        (folder / "Pulumi.yaml").write_text("name: moved\nruntime: python\n")
        (folder / "__main__.py").write_text(PROGRAM)

    def type(self, command: str, given: str = "", *, fails: bool = False) -> str:
        """What a command says; it has to succeed, or to fail."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert (done.returncode != 0) == fails, (command, done.stdout, done.stderr)
        return done.stdout + done.stderr


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    made = Shell(tmp_path)
    made.type("pulumi stack init prod")
    made.type("pulumi config set --secret word -s prod", given="hush")
    made.type("pulumi up -s prod --yes --skip-preview")
    return made


def documented() -> list[str]:
    """The commands of the page's section."""
    text = (ROOT / "docs/real-accounts.md").read_text().split("\n## Three states\n")[1]
    block = re.search(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert block is not None
    return block[1].splitlines()


def test_the_documents_commands_take_production_out_of_the_one_state(shell: Shell) -> None:
    first, *rest = documented()
    shell.type(first, given=f"{NEW}\n{NEW}\n")
    said = {command: shell.type(command) for command in rest}
    assert "1 unchanged" in said[rest[-1]]
    show = "pulumi stack output word --show-secrets -s prod"
    assert "hush" in shell.type(f"flow exec prod -- {show}")
    assert "[]" in shell.type("pulumi stack ls --json")
    # What opened the one state opens production's neither by its place nor by its passphrase.
    shell.environment["PULUMI_BACKEND_URL"] = shell.environment["PULUMI_BACKEND_URL_PROD"]
    assert "incorrect passphrase" in shell.type(show, fails=True)
    assert sorted(each.name for each in shell.folder.glob("*.json")) == []


def test_an_unlock_says_not_locked_where_the_engine_says_so_and_not_where_it_cannot(
    shell: Shell,
) -> None:
    del (
        shell.environment["PULUMI_BACKEND_URL_PROD"],
        shell.environment["PULUMI_CONFIG_PASSPHRASE_PROD"],
    )
    assert "prod is not locked" in shell.type("flow unlock prod")
    shell.environment["PULUMI_CONFIG_PASSPHRASE"] = "another"
    assert "nobody can say whether prod is locked" in shell.type("flow unlock prod", fails=True)
    shell.environment["PULUMI_BACKEND_URL"] = (shell.folder / "gone").as_uri()
    said = shell.type("flow unlock prod", fails=True)
    assert "unable to open bucket" in said
    assert "is not locked" not in said


@pytest.mark.parametrize("named", [True, False])
def test_the_engine_asks_a_bucket_only_once_its_address_names_the_region(
    tmp_path: Path, named: bool
) -> None:
    shell = Shell(tmp_path)
    # Nothing listens there: who gets so far has understood the address.
    address = "s3://ours?endpoint=http://127.0.0.1:9" + ("&region=fsn1" if named else "")
    assert backends.lacks_region(address) is not named
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        shell.environment.pop(name, None)
    own = {
        "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "word",
        "AWS_CONFIG_FILE": os.devnull, "AWS_MAX_ATTEMPTS": "1",
    }  # fmt: skip
    shell.environment |= own
    said = shell.type(f"pulumi login '{address}'", fails=True)
    assert ("request send failed" in said) is named
    assert ("Invalid region" in said) is not named
