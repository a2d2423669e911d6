"""`make rehearsal`, whole: a team's flow by pushes, pull requests and releases alone."""

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from flow.errors import FlowError
from flow.looking import look
from flow.rehearsal import Rehearsal
from flow.sandbox_project import SandboxProject
from flow.stages import Stages
from registry.client import Credentials, NoImageError, Reference, Registry

pytestmark = [pytest.mark.sandbox, pytest.mark.flow, pytest.mark.timeout(1500)]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def told(shared_project: SandboxProject) -> Rehearsal:
    """The rehearsal, once it went through."""
    stages = Stages()
    rehearsal = Rehearsal(ROOT, shared_project.directory, stages)
    with stages:
        rehearsal.run()
    assert {stage.state for stage in stages.all} == {"done"}
    return rehearsal


def test_the_rehearsal_goes_through_and_leaves_no_trace_of_its_demos(
    told: Rehearsal, shared_project: SandboxProject
) -> None:
    assert set(told.urls) == {
        "dev", "staging", "prod", "feature-demo-mapping-party", "feature-demo-outlived",
    }  # fmt: skip
    assert not [name for name in shared_project.stacks.names() if name.startswith("feature-demo")]


def test_a_look_at_a_stage_that_serves_another_version_fails(
    told: Rehearsal, shared_project: SandboxProject
) -> None:
    trust = Path(str(shared_project.credentials["trust"]))
    with pytest.raises(FlowError, match=r"does not serve version 9\.9\.9"):
        look(told.urls["staging"], "9.9.9", trust, patience=1)


def test_its_page_shows_every_act_and_every_job_with_a_link(told: Rehearsal) -> None:
    text = told.report.read_text()
    for lane in (
        *("development", "staging", "hotfix", "rollback", "prod", "recovery", "demo", "reaper"),
    ):
        assert f">{lane}</text>" in text
    jobs = re.findall(r'<a href="(http://127\.0\.0\.1:7090/[^"]+)"', text)
    assert len(jobs) > 10


@dataclass(frozen=True)
class Browser:
    """Chromium, with a home of its own."""

    program: str
    home: Path

    def dom(self, address: str, *more: str) -> str:
        """What a page is once it is drawn."""
        own = [f"--user-data-dir={self.home}/profile", "--virtual-time-budget=5000"]
        plain = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1280,1600"]
        return subprocess.run(
            [self.program, *plain, *own, *(more or ("--dump-dom",)), address],
            env={**os.environ, "HOME": str(self.home)},
            check=True, timeout=120, capture_output=True, text=True,
        ).stdout  # fmt: skip

    def trust(self, authorities: Path) -> None:
        """Import certificate authorities, as the documents have a person do it."""
        store = self.home / ".pki/nssdb"
        store.mkdir(parents=True)
        call = ["certutil", "-d", f"sql:{store}"]
        subprocess.run([*call, "-N", "--empty-password"], check=True, timeout=60)
        for number, one in enumerate(x509.load_pem_x509_certificates(authorities.read_bytes())):
            subprocess.run(
                [*call, "-A", "-n", f"sandbox {number}", "-t", "C,,"],
                input=one.public_bytes(serialization.Encoding.PEM), check=True, timeout=60,
            )  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Browser:
    """A browser, from the distribution where it is missing."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    if found is None or not shutil.which("certutil"):
        packages = ["libnss3-tools", *([] if found else ["chromium"])]
        for command in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
            subprocess.run(
                ["apt-get", "-qq", *command], check=True, timeout=600, capture_output=True
            )
    return Browser(found or "chromium", tmp_path_factory.mktemp("browser"))


def test_a_browser_draws_its_page(told: Rehearsal, browser: Browser, tmp_path: Path) -> None:
    picture = tmp_path / "page.png"
    drawn = browser.dom(told.report.as_uri())
    assert drawn.count('class="span"') == len(told.spans) > 30
    assert max(span.end for span in told.spans) < 3600
    browser.dom(told.report.as_uri(), f"--screenshot={picture}")
    assert picture.stat().st_size > 20_000  # an empty page has 5,000


def test_a_browser_reaches_each_stage_by_its_name_once_it_knows_the_authority(
    told: Rehearsal, browser: Browser, shared_project: SandboxProject
) -> None:
    assert "Fieldwork" not in browser.dom(told.urls["staging"]), "it trusts anybody"
    browser.trust(Path(str(shared_project.credentials["trust"])))
    for stage in ("dev", "staging", "prod"):
        version = str(shared_project.stacks.outputs(stage)["version"])
        drawn = browser.dom(told.urls[stage])
        # What the page's own script asked the API for is in it, too.
        assert f'page {version} · api <span id="api">{version}</span>' in drawn, drawn


def _images(told: Rehearsal, project: SandboxProject, *arguments: str) -> dict[str, Any]:
    """What `flow images` prints with --json, three days later."""
    assert told.urls
    done = subprocess.run(
        [sys.executable, "-m", "flow.app", "images", *arguments, "--json"],
        cwd=project.folder,
        env={**project.surroundings(), "PYTHONPATH": str(ROOT), "FLOW_CLOCK_AHEAD": "259200"},
        stdin=subprocess.DEVNULL, check=False, timeout=240, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def _is_there(client: httpx.Client, image: str, project: SandboxProject) -> bool:
    try:
        credentials = Credentials(**project.credentials["registry"]["pull"])
        Registry(client, Reference.parse(image), credentials).look()
    except NoImageError:
        return False
    return True


def test_images_that_nothing_needs_are_pruned_and_all_that_a_stage_can_go_back_to_stay(
    told: Rehearsal, shared_project: SandboxProject
) -> None:
    recorded = {
        image
        for stage in ("dev", "staging", "prod")
        for image in re.findall(
            rf"{re.escape(shared_project.images)}/[a-z-]+@sha256:[0-9a-f]{{64}}",
            json.dumps(shared_project.stacks.state(stage)),
        )
    }
    assert len(recorded) > 6
    pruned = _images(told, shared_project, "prune", "--older-than", "1", "--keep", "1", "--yes")
    removed = [
        f"{each['repository']}@{each['digest']}"
        for each in pruned["images"]
        if each["action"] == "removed"
    ]
    trust = ssl.create_default_context(cafile=str(shared_project.credentials["trust"]))
    with httpx.Client(verify=trust, timeout=20, trust_env=False) as client:
        assert removed, "the demos' images, at least"
        assert not [each for each in removed if _is_there(client, each, shared_project)]
        assert not [each for each in recorded if not _is_there(client, each, shared_project)]
    assert _images(told, shared_project, "list")["missing"] == []
