"""What `flow status` reads out of a state, what a stack costs a day, and whether it answers."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from flow import health, pricing, state, survey
from flow.commands.status import table
from flow.engine import at_once
from flow.errors import FlowError

SECRET = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270"}
ADDRESS = "hcloud:index/primaryIp:PrimaryIp"
COMPOSE = """
services:
  web: {image: x, labels: {deployment-flow.http: "80", deployment-flow.health: /up}}
  api: {image: x, labels: [deployment-flow.http=80, deployment-flow.health=/api/up]}
  db: {image: x, labels: {deployment-flow.health: /not-public}}
"""
PRICING = {
    "currency": "EUR",
    "vat_rate": "19.000000",
    "volume": {"price_per_gb_month": {"net": "0.0440"}},
    "primary_ips": [
        {
            "type": "ipv4",
            "prices": [
                {
                    "location": "fsn1",
                    "price_hourly": {"net": "0.0008"},
                    "price_monthly": {"net": "0.50"},
                }
            ],
        }
    ],
    "server_types": [
        {
            "name": "cx23",
            "prices": [
                {
                    "location": "fsn1",
                    "price_hourly": {"net": "0.0056"},
                    "price_monthly": {"net": "3.49"},
                }
            ],
        }
    ],
}


def resource(kind: str, outputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": kind, "urn": f"urn::{kind}::x", "outputs": outputs, **more}


def deployment(**outputs: Any) -> dict[str, Any]:
    return {
        "resources": [
            resource(
                "pulumi:pulumi:Stack", {"url": "https://x.test", "version": "1.2.0", **outputs}
            ),
            resource(
                "pulumi:providers:hcloud", {}, inputs={"token": {**SECRET, "plaintext": '"t0"'}}
            ),
            resource(
                "deployment-flow:index:Environment",
                {"release": {"revision": "c0ffee", "compose": COMPOSE}},
            ),
            resource(
                "hcloud:index/server:Server",
                {"serverType": "cx23", "location": "fsn1"},
                id="7",
                created="2026-01-01T10:00:00.123456789Z",
            ),
            resource("hcloud:index/server:Server", {"serverType": "old"}, id="6", delete=True),
            resource("hcloud:index/volume:Volume", {"size": 10}, id="8"),
            resource(
                "hcloud:index/primaryIp:PrimaryIp", {"type": "ipv4", "location": "fsn1"}, id="9"
            ),
            resource(
                "hcloud:index/primaryIp:PrimaryIp", {"type": "ipv6", "location": "fsn1"}, id="5"
            ),
            {
                **resource("command:local:Command", {}, modified="2026-01-02T10:00:00Z"),
                "urn": "urn::x-release",
            },
        ]
    }


def test_a_state_gives_its_outputs_its_things_and_its_times() -> None:
    found = state.parse(deployment(password={**SECRET, "plaintext": '"hush"'}))
    assert found.outputs["password"] == "hush"
    assert found.provider["token"] == "t0"
    assert [each["id"] for each in found.find("Server")] == ["7"]
    assert found.created == 1767261600
    assert found.deployed == 1767348000
    assert "hush" not in repr(found)
    assert "t0" not in repr(found)


def test_a_stack_that_was_never_brought_up_is_empty() -> None:
    assert state.parse({"manifest": {}}).empty


def test_a_day_costs_what_hetzners_list_says() -> None:
    prices = pricing.parse(PRICING)
    found = state.parse(deployment())
    # The month's price is a cap: 24 hours would be more.
    month = 3.49 + 0.50 + 10 * 0.0440
    day = pricing.a_day(pricing.items(found), prices)
    assert day == pytest.approx(month * 12 / 365.25, abs=1e-4)
    assert day is not None
    assert pricing.a_month(day) == pytest.approx(month, abs=0.01)
    assert prices.gross(month) == pytest.approx(month * 1.19)


def test_a_server_that_is_not_on_the_list_costs_unknown_and_not_nothing() -> None:
    bare = {**PRICING, "server_types": []}
    found = pricing.items(state.parse(deployment()))
    assert pricing.a_day(found, pricing.parse(bare)) is None
    assert pricing.a_day(found, pricing.parse({**PRICING, "primary_ips": []})) is None


def test_health_paths_are_those_of_public_services() -> None:
    assert health.paths({"compose": COMPOSE}) == ["/api/up", "/up"]
    assert health.paths({"compose": "services: {web: {image: x}}"}) == ["/"]
    assert health.paths({"compose": "{"}) == ["/"]


class _Answers(http.server.BaseHTTPRequestHandler):
    codes: dict[str, int] = {}  # noqa: RUF012 (set by the test)

    def do_GET(self) -> None:
        self.send_response(self.codes.get(self.path, 404))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    """A site that answers by `_Answers.codes`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("codes", "said"),
    [
        ({"/up": 200, "/": 200}, health.HEALTHY),
        ({"/up": 503}, "/up answers 503"),
        ({"/up": 401}, "/up answers 401"),
    ],
)
def test_an_environment_says_how_it_is(site: str, codes: dict[str, int], said: str) -> None:
    _Answers.codes = codes
    assert health.ask(site, ["/up"]) == said


def test_a_password_asked_for_at_the_front_door_is_an_answer(site: str) -> None:
    _Answers.codes = {"/": 401}
    assert health.ask(site, ["/"]) == health.HEALTHY


def test_a_dead_site_is_said_to_give_no_answer() -> None:
    assert health.ask("http://127.0.0.1:9", ["/"]).startswith("no answer")


def test_a_row_says_what_runs_and_since_when() -> None:
    found = state.parse(deployment(expires=1767400000, until=1767400000))
    row = survey.row("feature-demo-x", found, "healthy", pricing.parse(PRICING))
    assert (row.version, row.commit, row.branch) == ("1.2.0", "c0ffee", "feature-demo/x")
    assert (row.expires, row.until, row.server) == (1767400000, 1767400000, "cx23")
    assert json.dumps(row.output())


def test_the_table_says_how_long_a_demo_has_and_what_all_cost_together(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = state.parse(deployment(expires=1767400000))
    prices = pricing.parse(PRICING)
    rows = [survey.row(name, found, "healthy", prices) for name in ("dev", "feature-demo-x")]
    Console(width=200).print(table(rows, 1767400000 - 3 * 86400))
    said = capsys.readouterr().out
    assert "in 3 d" in said
    assert "0.29 EUR" in said


DIGESTS = {name: f"sha256:{number * 64}" for name, number in (("web", "1"), ("api", "2"))}


def shown_images(capsys: pytest.CaptureFixture[str], tag: str, digests: dict[str, str]) -> str:
    """What the table says of the images of an environment that runs them under that tag."""
    named = {name: f"r.test/{name}:{tag}@{digest}" for name, digest in digests.items()}
    found = state.State({"version": tag}, release={"images": named})
    row = survey.row("prod", found, "healthy", None)
    Console(width=200).print(table([row], 0))
    line = capsys.readouterr().out.splitlines()[1]
    assert row.images
    assert row.images in line
    return row.images


def test_production_that_runs_stagings_images_shows_the_same_word_whatever_their_tags(
    capsys: pytest.CaptureFixture[str],
) -> None:
    staging = shown_images(capsys, "staging-c0ffee", DIGESTS)
    assert shown_images(capsys, "v1.4.0", DIGESTS) == staging


def test_one_image_that_differs_by_a_byte_shows_another_word(
    capsys: pytest.CaptureFixture[str],
) -> None:
    staging = shown_images(capsys, "1.4.0", DIGESTS)
    other = {**DIGESTS, "api": DIGESTS["api"][:-1] + "3"}
    assert shown_images(capsys, "1.4.0", other) != staging


def test_many_are_asked_at_once_and_answered_in_order() -> None:
    both = threading.Barrier(2, timeout=10)

    def work(number: int) -> int:
        both.wait()  # one alone would wait for ever
        return number * 2

    assert at_once(work, [1, 2], 2) == [2, 4]
    assert at_once(work, [], 2) == []


def test_stages_come_first_and_then_demos_by_name() -> None:
    names = ["feature-demo-b", "prod", "feature-demo-a", "dev", "staging"]
    assert sorted(names, key=survey.order) == [
        "dev", "staging", "prod", "feature-demo-a", "feature-demo-b",
    ]  # fmt: skip


def test_what_cannot_be_read_is_a_row_that_says_why() -> None:
    row = survey._unread("dev", FlowError("incorrect passphrase"))
    assert (row.health, row.cost_a_day, row.problem) == ("unknown", None, "incorrect passphrase")
