"""Known vulnerabilities of the pinned packages: asked for by the real pip-audit, of a service here.

The service speaks OSV's query (https://google.github.io/osv.dev/post-v1-query/).
"""

from pathlib import Path

import pytest
import yaml
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from tests.unit.listening import listening
from toolchain import audit

ROOT = Path(__file__).resolve().parents[2]
VULNERABLE = "PYSEC-2031-1"


class Service:
    """Knows one vulnerability, of `leftpad` 1.0; or answers with a status of 500."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        query = await Request(scope, receive).json()
        self.asked.append(query["package"]["name"])
        known = query["package"]["name"] == "leftpad" and query["version"] == "1.0"
        answer: Response = JSONResponse({"vulns": [_entry()]} if known else {}, self.status)
        await answer(scope, receive, send)


def _entry() -> dict[str, object]:
    affected = {
        "package": {"name": "leftpad", "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.1"}]}],
        "versions": ["1.0"],
    }
    return {
        "id": VULNERABLE,
        "aliases": ["CVE-2031-0001"],
        "summary": "pads with the wrong side",
        "published": "2031-01-01T00:00:00Z",
        "affected": [affected],
    }


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    made = Service()
    url, switch = listening("vulnerabilities")
    switch.app = made
    monkeypatch.setenv("PIP_AUDIT_VULNERABILITY_SERVICE", "osv")
    monkeypatch.setenv("PIP_AUDIT_OSV_URL", f"{url}/v1/query")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return made


def pins(folder: Path, *lines: str) -> list[str]:
    file = folder / "pins.txt"
    file.write_text("".join(f"{line}\n" for line in lines))
    return ["--pins", str(file)]


@pytest.mark.parametrize("options", [[], ["--where-reachable"]])
def test_a_known_vulnerability_fails_the_audit_and_lint_and_is_named(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    status = audit.main([*pins(tmp_path, "leftpad==1.0", "fine==2.0"), *options])
    said = capsys.readouterr().err
    assert status == audit.FOUND
    assert f"vulnerable: leftpad 1.0: {VULNERABLE} CVE-2031-0001; mended in 1.1" in said
    assert "Next: raise those versions" in said
    assert sorted(service.asked) == ["fine", "leftpad"]


def test_without_one_it_says_nothing(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert audit.main(pins(tmp_path, "leftpad==1.1", "fine==2.0")) == 0
    assert capsys.readouterr().err == ""
    assert sorted(service.asked) == ["fine", "leftpad"]


def test_where_nobody_can_be_asked_the_audit_fails_and_lint_says_that_it_was_skipped(
    service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service.status = 500
    given = pins(tmp_path, "leftpad==1.1")
    assert audit.main(given) == audit.NOT_ASKED
    assert "error: no vulnerability service could be asked" in capsys.readouterr().err
    assert audit.main([*given, "--where-reachable"]) == 0
    said = capsys.readouterr().err
    assert said.startswith("skipped: no vulnerability service could be asked")
    assert "make audit" in said


def test_every_package_that_is_pinned_for_anything_is_asked_about(service: Service) -> None:
    wanted = {
        line.partition("==")[0].lower().replace("_", "-").replace(".", "-")
        for file in ROOT.glob("requirements*.txt")
        for line in file.read_text().splitlines()
        if "==" in line
    }
    assert audit.ask(audit.PINS).status == 0
    assert wanted - set(service.asked) == set()


def test_github_asks_every_week_and_fails_where_it_cannot() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/audit.yml").read_text())
    # YAML 1.1 reads `on` as true.
    assert workflow[True]["schedule"]
    steps = workflow["jobs"]["packages"]["steps"]
    assert steps[-1] == {"run": ".venv/bin/python -m toolchain.audit"}
