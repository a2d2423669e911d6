"""Bundles: what a server gets from a Compose file."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from components import bundle, compose
from components.bundle import ComposeError, Public, Release, Variables
from remote.server.agent import policy

ROOT = Path(__file__).parents[2]
DIGEST = "sha256:" + "0" * 64
MINIMAL = {"services": {"web": {"image": "app/web:1", "labels": {"deployment-flow.http": "80"}}}}


def release(definition: dict[str, Any] | None = None, version: str = "1.0.0") -> Release:
    definition = definition or MINIMAL
    images = {name: f"registry.example/app/{name}@{DIGEST}" for name in definition["services"]}
    return Release(definition, version, images, "registry.example/app")


def rendered(
    definition: dict[str, Any] | None = None,
    public: Public | None = None,
    variables: Variables | None = None,
) -> dict[str, Any]:
    return bundle.render(
        release(definition), public or Public("app.example.org"), variables or Variables()
    )


def services(definition: dict[str, Any], variables: Variables | None = None) -> dict[str, Any]:
    text = rendered(definition, variables=variables)["files"]["compose.yaml"]
    loaded: dict[str, Any] = yaml.safe_load(text)["services"]
    return loaded


def with_service(**extra: Any) -> dict[str, Any]:
    return {"services": {"web": {**MINIMAL["services"]["web"], **extra}}}


def caddy(definition: dict[str, Any] | None = None, **public: Any) -> str:
    made = rendered(definition, Public("app.example.org", **public))
    text: str = made["files"]["Caddyfile"]
    return text


def test_the_example_can_be_deployed() -> None:
    example = bundle.load((ROOT / "example/compose.yaml").read_text())
    assert bundle.check(example) == []
    made = rendered(example)
    assert made["jobs"] == ["migrate"]
    assert made["data"] == ["db"]
    assert {target["service"] for target in made["targets"]} == {"api", "web"}


def test_the_same_input_gives_the_same_bundle() -> None:
    assert rendered() == rendered()


def test_each_part_of_a_release_changes_its_id() -> None:
    ids = [
        rendered()["id"],
        rendered(with_service(command="serve"))["id"],
        rendered(public=Public("other.example.org"))["id"],
        rendered(public=Public("app.example.org", hsts=True))["id"],
        rendered(variables=Variables({"LEVEL": "info"}))["id"],
        bundle.render(release(version="1.0.1"), Public("app.example.org"), Variables())["id"],
    ]
    assert len(set(ids)) == len(ids)


def test_a_version_that_a_service_does_not_use_leaves_the_service_as_it_is() -> None:
    # Its container must not restart: a database would, with every release.
    made = [
        bundle.render(release(version=version), Public("a.example.org"), Variables())
        for version in ("1.0.0", "1.0.1")
    ]
    assert made[0]["files"]["compose.yaml"] == made[1]["files"]["compose.yaml"]


def test_what_is_for_local_use_stays_local() -> None:
    web = services(
        with_service(build=".", ports=["80:80"], pull_policy="build", develop={"watch": []})
    )["web"]
    assert not {"build", "pull_policy", "develop"} & web.keys()
    assert web["ports"] == ["127.0.0.1:" + web["ports"][0].split(":")[1] + ":80"]


def test_a_service_behind_a_profile_does_not_reach_a_server() -> None:
    definition = with_service()
    definition["services"]["debug"] = {"build": ".", "profiles": ["debug"], "privileged": True}
    assert list(services(definition)) == ["web"]


def test_services_run_from_digests_and_restart_by_themselves() -> None:
    web = services(with_service(restart="no"))["web"]
    assert web["image"] == f"registry.example/app/web@{DIGEST}"
    assert web["restart"] == "unless-stopped"


def test_compose_is_not_told_otherwise_about_restarts() -> None:
    limits = {"limits": {"memory": "1G"}}
    deploy = {"restart_policy": {"condition": "none"}, "resources": limits}
    assert services(with_service(deploy=deploy))["web"]["deploy"] == {"resources": limits}


def test_a_files_mode_is_a_number_in_whatever_way_it_is_written() -> None:
    definition = with_service(
        configs=["a", {"source": "a", "mode": "0440"}, {"source": "a", "mode": 0o400}],
        secrets=[{"source": "s", "mode": "400"}],
    )
    definition |= {"configs": {"a": {"content": "x"}}, "secrets": {"s": {"environment": "VERSION"}}}
    web = services(definition)["web"]
    assert web["configs"] == [
        "a", {"source": "a", "mode": 0o440}, {"source": "a", "mode": 0o400},
    ]  # fmt: skip
    assert web["secrets"] == [{"source": "s", "mode": 0o400}]


def test_what_need_not_be_there_is_left_out() -> None:
    definition = with_service(
        depends_on={"mail": {"condition": "service_started", "required": False}},
        env_file=[{"path": "local.env", "required": False}],
        container_name="web",
    )
    definition["services"]["mail"] = {"image": "mail", "profiles": ["dev"]}
    definition["services"]["seed"] = {
        "image": "seed",
        "labels": {"deployment-flow.job": "true"},
        "depends_on": {"mail": {"required": False}},
    }
    made = services(definition)
    assert not {"depends_on", "environment", "container_name"} & made["web"].keys()
    assert "depends_on" not in made["seed"]


def test_only_public_services_are_published_and_on_the_loopback_only() -> None:
    definition = with_service()
    definition["services"]["db"] = {"image": "db", "ports": ["5432:5432"]}
    made = services(definition)
    assert "ports" not in made["db"]
    assert made["web"]["ports"][0].startswith("127.0.0.1:")


def test_nobody_waits_for_a_job_because_jobs_run_first() -> None:
    definition = with_service(
        depends_on={
            "migrate": {"condition": "service_completed_successfully"},
            "db": {"condition": "service_healthy"},
        }
    )
    job = {"image": "m", "labels": {"deployment-flow.job": "true"}, "depends_on": ["db"]}
    definition["services"] |= {"migrate": job, "db": {"image": "db"}}
    made = services(definition)
    assert made["web"]["depends_on"] == {"db": {"condition": "service_healthy"}}
    assert made["migrate"]["profiles"] == ["job"]
    assert made["migrate"]["restart"] == "no"


def test_jobs_run_in_the_order_they_depend_on_each_other() -> None:
    definition = with_service()
    for name, needs in (("a-last", ["m-second"]), ("m-second", ["z-first"]), ("z-first", [])):
        definition["services"][name] = {
            "image": "j",
            "labels": ["deployment-flow.job=true"],
            "depends_on": needs,
        }
    assert rendered(definition)["jobs"] == ["z-first", "m-second", "a-last"]


def test_jobs_that_wait_for_each_other_end() -> None:
    definition = with_service()
    for name, other in (("a", "b"), ("b", "a")):
        definition["services"][name] = {
            "image": "j",
            "labels": {"deployment-flow.job": "true"},
            "depends_on": [other],
        }
    assert sorted(rendered(definition)["jobs"]) == ["a", "b"]


def test_a_data_volume_is_a_folder_that_must_exist() -> None:
    definition = with_service(volumes=["db:/var/lib/db", "cache:/cache"])
    definition["volumes"] = {"db": {"labels": {"deployment-flow.data": "true"}}, "cache": None}
    made = rendered(definition)
    volumes = yaml.safe_load(made["files"]["compose.yaml"])["volumes"]
    assert volumes["db"]["driver_opts"] == {"type": "none", "o": "bind", "device": "/data/db"}
    assert volumes["cache"] == {}
    assert made["data"] == ["db"]


def test_an_env_file_becomes_every_variable_with_explicit_ones_winning() -> None:
    web = services(
        with_service(env_file=".env", environment=["LEVEL=debug"]),
        Variables({"LEVEL": "info"}, ["TOKEN"]),
    )["web"]
    assert "env_file" not in web
    assert web["environment"]["LEVEL"] == "debug"
    assert web["environment"]["TOKEN"] is None
    assert web["environment"]["PUBLIC_URL"] is None


def test_secrets_are_names_only() -> None:
    web = services(
        with_service(environment={"TOKEN": "${TOKEN}"}), Variables(secret_names=["TOKEN"])
    )["web"]
    assert web["environment"] == {"TOKEN": "${TOKEN}"}


def test_the_compose_file_is_json_that_the_agent_accepts() -> None:
    example = bundle.load((ROOT / "example/compose.yaml").read_text())
    for definition in (example, with_service(privileged=False, volumes=["cache:/c", "/anon"])):
        definition.setdefault("volumes", {}).setdefault("cache", None)
        made = rendered(definition)
        assert policy.refusals(json.loads(made["files"]["compose.yaml"])) == []


def test_a_variable_without_a_value_is_named_with_its_place() -> None:
    with pytest.raises(ComposeError) as error:
        rendered(with_service(environment={"A": "${NOWHERE}", "B": "${GIVEN-x}", "C": "$$FREE"}))
    assert error.value.mistakes == [
        (
            "services.web.environment.A: the variable NOWHERE has no value; give it as "
            "environment.NOWHERE or secrets.NOWHERE in the settings, or a default as ${NOWHERE:-…}"
        )
    ]


@pytest.mark.parametrize("name", ["PATH", "DOCKER_HOST", "COMPOSE_FILE", "LD_PRELOAD"])
def test_a_variable_that_steers_docker_is_refused(name: str) -> None:
    with pytest.raises(ComposeError, match=name):
        rendered(variables=Variables({name: "x"}))


def test_https_by_default_with_redirects_left_to_caddy() -> None:
    text = caddy()
    assert "https://app.example.org {" in text
    assert "protocols tls1.2 tls1.3" in text
    assert "Strict-Transport-Security" not in text


def test_a_demo_is_behind_a_password_and_out_of_indexes_but_its_health_is_open() -> None:
    labels = {"deployment-flow.http": "80", "deployment-flow.health": "/healthz"}
    text = caddy(with_service(labels=labels), auth_user="demo", noindex=True)
    health, everything = text.split("handle {")
    assert "demo @PASSWORD_HASH@" in everything
    assert "@PASSWORD_HASH@" not in health
    assert "handle /healthz {" in health
    assert 'X-Robots-Tag "noindex, nofollow"' in text


def test_a_service_that_runs_twice_has_a_route_in_each_slot_and_another_has_one() -> None:
    definition = {
        "services": {
            name: {
                "image": image,
                "labels": {"deployment-flow.http": "80", "deployment-flow.path": f"/{name}/*"},
            }
            for name, image in (("new", "new:${VERSION}"), ("store", "store:1"))
        }
    }
    made = rendered(definition)
    text = made["files"]["Caddyfile"]
    ports = bundle.ports(["new", "store"])
    assert made["doubled"] == ["new"]
    assert text.count("@green file {") == 1
    assert f"reverse_proxy 127.0.0.1:{ports['new']} " in text
    assert f"handle @green {{\n\t\t\treverse_proxy 127.0.0.1:{ports['new'] - 10000} " in text
    assert f":{ports['store'] - 10000} " not in text


def test_a_private_authority_and_hsts_are_said_only_when_asked_for() -> None:
    made = rendered(
        public=Public(
            "app.example.org",
            acme_server="https://acme.example.org/dir",
            acme_root="-----BEGIN",
            hsts=True,
        )
    )
    text = made["files"]["Caddyfile"]
    assert "acme_ca https://acme.example.org/dir" in text
    assert "acme_ca_root /etc/caddy/acme-root.pem" in text
    assert made["files"]["acme-root.pem"] == "-----BEGIN"
    assert 'Strict-Transport-Security "max-age=31536000"' in text


def test_longer_paths_are_asked_first_and_the_rest_is_not_found() -> None:
    definition = {
        "services": {
            name: {
                "image": name,
                "labels": {"deployment-flow.http": "80", "deployment-flow.path": path},
            }
            for name, path in (("a", "/a/*"), ("deep", "/a/deep/*"))
        }
    }
    text = caddy(definition)
    assert text.index("handle /a/deep/*") < text.index("handle /a/*") < text.index("respond 404")


@given(st.sets(st.from_regex(compose.NAME, fullmatch=True), max_size=40))
def test_ports_are_distinct_and_stay_when_a_later_service_comes(names: set[str]) -> None:
    given_ports = bundle.ports(names)
    assert len(set(given_ports.values())) == len(names)
    assert all(20000 <= port < 30000 for port in given_ports.values())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}/x:${V:-local}", "a/x:local"),
        ("$A$$A", "a$A"),
        ("${E:-empty}${E-set}", "empty"),
        ("${A:+there}${E:+not}${E+is}", "thereis"),
        ("${N:-${A}}", "a"),
        ("100 $ and $1", "100 $ and $1"),
    ],
)
def test_variables_are_replaced_as_compose_does(text: str, value: str) -> None:
    assert compose.interpolate(text, {"A": "a", "E": ""}) == value


@pytest.mark.parametrize("text", ["$N", "${N}", "${E:?say}", "${N?say}"])
def test_a_missing_value_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="has no value"):
        compose.interpolate(text, {"E": ""})
