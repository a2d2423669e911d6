"""What environments cost, what one would cost before it is made, and what belongs to nobody."""

import json
from pathlib import Path
from typing import Any

import pytest

from flow import app, costing, deploying, pricing, state
from flow.errors import FlowError
from flow.project import Project
from tests.unit.hetzner_cloud import Cloud
from tests.unit.hetzner_cloud import cloud as cloud
from tests.unit.team_stacks import Stacks, made_by_an_up, project_of, resource
from tests.unit.test_cli_survey import PRICING

DEMO = "feature-demo-x"
PRICES = pricing.parse(PRICING)
# A month of the price list above: cx23, an IPv4 address, 10 GB.
MONTH = 3.49 + 0.50 + 10 * 0.0440
SETTINGS: dict[str, Any] = {"serverType": "cx23", "volumeSize": 10, "locations": ["fsn1", "nbg1"]}


def made(server: str = "cx23", location: str = "fsn1") -> state.State:
    return state.parse(
        {
            "resources": [
                resource("server:Server", 1, serverType=server, location=location),
                resource("volume:Volume", 2, size=10, location=location),
                resource("primaryIp:PrimaryIp", 3, type="ipv4", location=location),
            ]
        }
    )


def estimate(settings: dict[str, Any], now: state.State, **more: Any) -> costing.Estimate:
    def line(items: list[pricing.Item]) -> costing.Line:
        return costing._line("x", items, PRICES)

    return costing.Estimate(
        line(costing.wanted(settings, now, **more)), line(pricing.items(now)), PRICES
    )


def test_a_demo_that_is_to_be_made_costs_what_its_settings_say() -> None:
    found = estimate(SETTINGS, state.State())
    assert found.then.a_month == pytest.approx(MONTH, abs=0.01)
    assert found.more_a_day == found.then.a_day
    assert str(found).startswith("it will cost 0.15 EUR a day, 4.43 a month, net (5.27 a month")
    assert "19 % VAT): cx23, ipv4, ipv6, volume 10 GB" in str(found)
    assert "than now" not in str(found)


def test_a_bigger_server_says_what_it_costs_more() -> None:
    bigger = {**PRICING["server_types"][0], "name": "cx33"}  # type: ignore[index]
    bigger["prices"] = [{**bigger["prices"][0], "price_monthly": {"net": "6.53"}}]
    bigger["prices"][0]["price_hourly"] = {"net": "1"}
    prices = pricing.parse({**PRICING, "server_types": [*PRICING["server_types"], bigger]})

    def line(items: list[pricing.Item]) -> costing.Line:
        return costing._line("x", items, prices)

    then = line(costing.wanted({**SETTINGS, "serverType": "cx33"}, made()))
    found = costing.Estimate(then, line(pricing.items(made())), prices)
    assert found.more_a_day == pytest.approx((6.53 - 3.49) * 12 / 365.25, abs=1e-3)
    assert str(found).endswith("; 0.10 a day more than now")
    back = costing.Estimate(found.now, found.then, prices)
    assert str(back).endswith("; 0.10 a day less than now")


def test_what_exists_stays_where_it_is_whatever_the_order_of_locations() -> None:
    items = costing.wanted({**SETTINGS, "locations": ["nbg1", "fsn1"]}, made())
    assert {each.location for each in items if each.location} == {"fsn1"}


def test_a_machine_of_ones_own_costs_nothing_here(monkeypatch: pytest.MonkeyPatch) -> None:
    assert costing.wanted({**SETTINGS, "host": "198.51.100.7"}, state.State()) == []
    monkeypatch.setenv("DEMO_HOSTS", "feature-demo/x root@198.51.100.7 ssh-ed25519 AAAA")
    assert costing._is_given(DEMO)
    assert not costing._is_given("feature-demo-y")
    assert "it will cost nothing" not in str(estimate(SETTINGS, state.State()))
    monkeypatch.setenv("DEMO_HOSTS", "nonsense")
    with pytest.raises(FlowError, match="line 1 of DEMO_HOSTS"):
        costing._is_given(DEMO)


def test_a_type_that_is_not_on_the_list_is_not_known_and_not_nothing() -> None:
    found = estimate({**SETTINGS, "serverType": "cx99"}, made())
    assert found.then.a_day is None
    assert found.more_a_day is None
    assert "not all is on Hetzner's list: cx99" in str(found)
    without = costing.Estimate(found.then, found.now, None)
    assert "no token tells prices" in str(without)


# -- against a cloud ---------------------------------------------------------------------------


@pytest.fixture
def stacks(cloud: Cloud) -> Stacks:
    found = Stacks(cloud)
    found.states["staging"] = {"resources": made_by_an_up(cloud, "staging")}
    found.states["feature-demo-y"] = FlowError("incorrect passphrase")
    return found


@pytest.fixture
def team(tmp_path: Path, stacks: Stacks, monkeypatch: pytest.MonkeyPatch) -> Project:
    found = project_of(tmp_path, stacks, monkeypatch)
    (tmp_path / "compose.yaml").touch()
    monkeypatch.setenv("FLOW_APPLICATION", str(tmp_path))
    for name in ("cost", "deploy", "demo"):
        monkeypatch.setattr(f"flow.commands.{name}.project.find", lambda: found)
    return found


def test_every_environment_is_a_line_and_what_no_stack_owns_is_another(
    cloud: Cloud, team: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["cost", "--json"]) == 0
    alone = json.loads(capsys.readouterr().out)
    assert [each["environment"] for each in alone["environments"]] == ["staging", "feature-demo-y"]
    assert alone["environments"][1]["problem"] == "incorrect passphrase"
    assert (alone["net"], alone["vat_percent"], alone["lost"]) == (True, 19.0, 0)
    of_staging = alone["environments"][0]
    assert of_staging["things"] == ["cx23", "ipv4", "volume 10 GB"]
    made_by_an_up(cloud, DEMO)
    assert app.run(["cost", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    lost = found["environments"][-1]
    assert lost["environment"] == "no stack"
    assert lost["a_day"] == pytest.approx(of_staging["a_day"])
    assert found["total"]["a_day"] == pytest.approx(2 * of_staging["a_day"])
    month = found["total"]["a_month"]
    assert month == pytest.approx(found["total"]["a_day"] * 365.25 / 12, abs=0.01)
    assert found["total"]["a_month_gross"] == pytest.approx(month * 1.19, abs=0.01)


def test_a_person_is_told_the_total_the_tax_and_what_to_do_about_what_is_lost(
    cloud: Cloud, team: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    made_by_an_up(cloud, DEMO)
    assert app.run(["cost"]) == 0
    told = capsys.readouterr()
    assert "no stack" in told.out
    assert "net, without traffic" in told.out
    assert "19 % VAT" in told.out
    assert "flow sweep" in told.err
    assert "feature-demo-y: incorrect passphrase" in told.err


def test_without_prices_things_are_listed_and_nothing_is_said_to_be_free(
    cloud: Cloud, team: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    with cloud.faults.during({"status": 503}, path="/pricing"):
        assert app.run(["cost"]) == 0
    told = capsys.readouterr()
    assert "unknown" in told.out
    assert "no token reaches Hetzner's prices" in told.err


def test_a_dry_run_of_a_demo_says_what_it_will_cost_and_makes_nothing(
    team: Project, stacks: Stacks, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.run(["demo", "up", "feature-demo/x", "--dry-run"]) == 0
    assert f"{DEMO} would be made\n{DEMO}: it will cost" in capsys.readouterr().out
    assert app.run(["demo", "up", "feature-demo/x", "--dry-run", "--json"]) == 0
    cost = json.loads(capsys.readouterr().out)["cost"]
    assert cost["a_day"] > 0
    assert cost["more_a_day"] == cost["a_day"]
    assert cost["things"] == ["cx23", "ipv4", "ipv6", "volume 10 GB"]
    assert DEMO not in stacks.names()


def test_a_dry_run_of_a_deploy_says_the_difference_of_another_server_type(
    team: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (team.folder / "Pulumi.staging.yaml").write_text("config: {p:serverType: cx33}\n")
    planned = {"environment": "staging", "exists": True, "changes": {"update": 1}, "changed": 1}
    monkeypatch.setattr(deploying, "preview", lambda *_: planned)
    assert app.run(["deploy", "staging", "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("staging: 1 update\nstaging: it will cost ")
    assert "a day more than now" in told
    assert app.run(["deploy", "staging", "--dry-run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["changes"] == {"update": 1}
    assert found["cost"]["more_a_day"] > 0
