"""feature-demo.sh as a file: clean shell, whole, the same bytes wherever it is made."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from feature_demo import script
from remote import shipment

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("script") / "feature-demo.sh"
    made.write_text(script.render())
    return made


@pytest.fixture(scope="module")
def unpacked(file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script puts into its folder, unpacked by itself."""
    folder = tmp_path_factory.mktemp("unpacked")
    text = file.read_text().removesuffix('main "$@"\n') + "folder=$1\nunpack\n"
    subprocess.run(["sh", "-s", "--", str(folder)], input=text, text=True, check=True, timeout=20)
    return folder


def test_it_is_clean_shell(file: Path) -> None:
    program = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or "shellcheck"
    if shutil.which(program) is None:
        pytest.skip("no shellcheck; it is in requirements-dev.txt")
    done = subprocess.run([program, str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_help_needs_neither_root_nor_anything_of_the_project(file: Path, tmp_path: Path) -> None:
    for words in ([], ["up"], ["remove"]):
        done = subprocess.run(
            ["sh", str(file), *words, "--help"],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "feature-demo.sh" in done.stdout


def test_a_wrong_flag_ends_with_2_and_the_flags_there_are(file: Path) -> None:
    done = subprocess.run(
        ["sh", str(file), "--brnch", "x"], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 2
    assert "--brnch" in done.stderr


def test_no_secret_can_be_given_on_the_command_line(file: Path) -> None:
    done = subprocess.run(
        ["sh", str(file), "up", "--help"], capture_output=True, text=True, timeout=30, check=True
    )
    flags = {word.strip("[],") for word in done.stdout.split() if word.strip("[]").startswith("--")}
    named = {flag for flag in flags if any(w in flag for w in ("password", "token", "secret"))}
    assert named == {"--registry-password-file", "--git-token-file"}


def test_it_carries_what_it_imports_and_the_server_gets_what_a_stack_gives_it(
    unpacked: Path,
) -> None:
    modules = [
        path.relative_to(unpacked).with_suffix("").as_posix().replace("/", ".")
        for path in unpacked.rglob("*.py")
        if path.name not in ("__init__.py", "__main__.py")
    ]
    lines = [f"import {name}" for name in sorted(modules) if name != "remote.server.agent"]
    # Nothing of this machine but PyYAML, as Debian has it.
    program = (
        f"import sys; sys.path[:0] = [{str(unpacked)!r}]\n" + "\n".join(lines) + "\n"
        "from remote import shipment; print(shipment.fingerprint())\n"
        "from feature_demo import script; sys.stdout.write(script.render())"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-B", "-c", program],
        cwd="/", capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    fingerprint, _, again = done.stdout.partition("\n")
    assert fingerprint == shipment.fingerprint()
    assert again == script.render()


def test_it_needs_nothing_but_the_standard_library_and_pyyaml(unpacked: Path) -> None:
    found = set()
    for path in unpacked.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                found.add(str(node.module).split(".")[0])
    assert found - sys.stdlib_module_names == {"components", "feature_demo", "remote", "yaml"}


def test_until_pyyaml_is_there_nothing_imports_it(unpacked: Path) -> None:
    program = (
        f"import sys; sys.path[:0] = [{str(unpacked)!r}]\n"
        "sys.modules['yaml'] = None\nimport feature_demo.main"
    )
    subprocess.run([sys.executable, "-I", "-B", "-c", program], check=True, timeout=30)


def test_a_file_a_here_document_would_cut_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        script, "contents", lambda: {"feature_demo/header.sh": "#!/bin/sh\n", "a/b": "no end"}
    )
    with pytest.raises(ValueError, match="a/b cannot be carried"):
        script.render()


@pytest.mark.parametrize(
    "command",
    [("-c", "from flow.app import main; main()", "demo", "script"), ("-m", "feature_demo")],
    ids=["flow", "make"],
)
def test_flow_and_make_print_it(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == script.render()


def test_a_server_without_python_gets_it_and_it_counts_as_ours(file: Path, tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("mktemp", "rm", "mkdir", "cat", "tail", "ln"):
        (tools / name).symlink_to(str(shutil.which(name)))
    asked = tmp_path / "asked"
    for name, body in {
        "id": "echo 0",
        "dpkg-query": "echo 'ii  base-files'",
        "apt-get": f'echo "$@" >>{asked}; ln -sf {sys.executable} {tools}/python3',
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{body}\n")
        (tools / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(file), "--help"],
        env={"PATH": str(tools)}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "==> installing python3\n")
    assert asked.read_text().splitlines() == [
        "-qq update", "-qq -y --no-install-recommends install python3",
    ]  # fmt: skip
