"""Releases on a real server: deployed, replaced, refused, cut off, booted."""

import json
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from flow.load import Load
from remote.errors import HandOverError
from tests.sandbox.deploys.conftest import (
    PASSWORD,
    SECRET,
    Applications,
    Host,
    MakeHost,
    await_version,
    canaries_in,
    serves,
)

Fault = Callable[[dict[str, Any]], Callable[[], None]]


@pytest.fixture(scope="module")
def host(make_host: MakeHost, applications: Applications) -> Host:
    """A server that runs version 1.0.0 behind HTTPS."""
    made = make_host(f"releases-{secrets.token_hex(2)}")
    applications.point("app", made.address)
    applications.build("base")
    made.provision()
    answer = made.deploy(applications.bundle("1.0.0"), registry=applications.pull)
    assert (answer["version"], answer["changed"], answer["tls"]) == ("1.0.0", True, "issued")
    return made


@pytest.fixture(autouse=True)
def first_version(host: Host, applications: Applications) -> dict[str, Any]:
    """Every test starts from version 1.0.0, as the hand-over itself brings it back."""
    made = applications.bundle("1.0.0")
    assert host.deploy(made)["version"] == "1.0.0"
    return made


def test_it_answers_over_https_and_plain_http_is_sent_there(
    host: Host, first_version: dict[str, Any]
) -> None:
    assert serves(host, first_version, "1.0.0")
    sent = host.ssh(
        f"curl -s -o /dev/null -w '%{{http_code}} %{{redirect_url}}' "
        f"-H 'Host: {first_version['hostname']}' http://127.0.0.1/"
    )
    assert sent.stdout == f"308 https://{first_version['hostname']}/"


def test_the_same_release_again_changes_nothing(host: Host, first_version: dict[str, Any]) -> None:
    before = host.run("docker ps -q --no-trunc")
    started = time.monotonic()
    assert host.deploy(first_version)["changed"] is False
    assert time.monotonic() - started < 5
    assert host.run("docker ps -q --no-trunc") == before


def test_a_new_version_replaces_the_old_and_leaves_the_database_alone(
    host: Host, applications: Applications
) -> None:
    database = host.run("docker ps -q --no-trunc --filter name=app-db-1")
    made = applications.bundle("1.1.0")
    started = time.monotonic()
    assert host.deploy(made)["changed"] is True
    assert time.monotonic() - started < 20
    assert serves(host, made, "1.1.0")
    assert host.run("docker ps -q --no-trunc --filter name=app-db-1") == database
    assert "1.1.0" in host.run("tail -n 1 /data/store/runs")


def test_a_changed_setting_or_secret_is_a_release_of_its_own(
    host: Host, applications: Applications, first_version: dict[str, Any]
) -> None:
    made = applications.bundle("1.0.0", environment={"GREETING": "bonjour"})
    first = host.deploy(made)["release"]
    assert "greeting bonjour" in host.get(made).text
    second = host.deploy(made, secrets={"TOKEN": "canary-another"})
    assert (second["changed"], second["release"] != first) == (True, True)


def load_on(host: Host, made: dict[str, Any], path: str = "/") -> Load:
    """A constant load on a page of a server, by the site's name."""
    name = made["hostname"]
    return Load(
        lambda: httpx.Client(verify=False, timeout=60, trust_env=False),  # noqa: S501
        lambda client: client.get(
            f"https://{host.address}{path}",
            headers={"Host": name},
            extensions={"sni_hostname": name},
        ),
    )


def test_under_a_constant_load_no_request_is_lost_whatever_becomes_of_a_deploy(
    host: Host, applications: Applications, first_version: dict[str, Any]
) -> None:
    with load_on(host, first_version) as load:
        time.sleep(1)
        host.deploy(applications.bundle("1.1.0"))
        host.deploy(applications.bundle("1.2.0"))
        bad = applications.bundle("2.0.0-sick", "sick")
        bad["health_seconds"] = 3
        with pytest.raises(HandOverError, match=r"version 1\.2\.0 still serves"):
            host.deploy(bad)
        host.deploy(first_version)
        time.sleep(1)
    seen = {text.split()[1] for text in load.answers}
    assert (load.lost, seen) == ([], {"1.0.0", "1.1.0", "1.2.0"})
    assert load.sent > 100


def test_a_request_under_way_is_answered_by_the_version_that_took_it(
    host: Host, applications: Applications, first_version: dict[str, Any]
) -> None:
    made = applications.bundle("1.1.0")
    with load_on(host, first_version, "/slow?8") as load:
        host.deploy(made)
        assert serves(host, made, "1.1.0")
    assert load.lost == []
    assert any("version 1.0.0" in text for text in load.answers)
    assert host.run("docker ps -a --format '{{.Names}}' | grep -c web") == "1"


@pytest.mark.parametrize(
    ("variant", "said"),
    [
        ("sick", "/healthz gave status 503"),
        ("crash", "service web is"),
        ("fail", "job migrate failed"),
    ],
)
def test_a_bad_version_is_refused_and_the_old_one_serves(
    host: Host, applications: Applications, first_version: dict[str, Any], variant: str, said: str
) -> None:
    made = applications.bundle(f"2.0.0-{variant}", variant)
    made["health_seconds"] = 5
    with pytest.raises(HandOverError, match=r"version 1\.0\.0 still serves") as error:
        host.deploy(made)
    assert said in str(error.value)
    assert serves(host, first_version, "1.0.0")
    assert canaries_in("\n".join([*host.said, str(error.value)])) == []
    assert (
        json.loads(host.ssh("status", user="flow", key=host.deploy_key).stdout)["result"][
            "release"
        ]["version"]
        == "1.0.0"
    )


def test_a_failing_job_restarts_nothing(host: Host, applications: Applications) -> None:
    before = host.run("docker ps -q --no-trunc")
    with pytest.raises(HandOverError, match="job migrate failed"):
        host.deploy(applications.bundle("2.1.0", "fail"))
    assert host.run("docker ps -q --no-trunc") == before
    assert any("migration 7 failed, token ***" in line for line in host.said)


def test_a_line_of_a_mebibyte_does_not_stop_a_deploy(
    host: Host, applications: Applications
) -> None:
    assert host.deploy(applications.bundle("1.2.0", "long"))["version"] == "1.2.0"
    assert any("bytes more" in line for line in host.said)
    assert max(len(line) for line in host.said) < 3000
    assert any("token ***" in line for line in host.said)
    assert canaries_in("\n".join(host.said)) == []


def test_an_image_that_cannot_be_pulled_leaves_the_old_version_serving(
    host: Host, applications: Applications, first_version: dict[str, Any]
) -> None:
    made = applications.bundle("1.3.0")
    wrong = {**applications.pull, "password": "canary-wrong-password"}
    with pytest.raises(HandOverError, match="what ran before was not touched") as error:
        host.deploy(made, registry=wrong)
    assert "registryPassword" in error.value.remedy
    assert serves(host, first_version, "1.0.0")
    assert host.deploy(made, registry=applications.pull)["version"] == "1.3.0"


def test_a_full_disk_is_refused_before_anything_changes(
    host: Host, applications: Applications, first_version: dict[str, Any]
) -> None:
    host.run("mkdir -p /var/lib/docker-real && truncate -s 64M /root/small && mkfs.ext4 -q "
             "/root/small")  # fmt: skip
    if host.ssh("mount -o loop /root/small /mnt").returncode:
        # No loop device in this server: the agent is told to want more than there is.
        library = "/usr/local/lib/deployment-flow/agent/deploy.py"
        host.run(f"sed -i.kept 's/^MINIMUM_FREE = .*/MINIMUM_FREE = 1024**6/' {library}")
        undo = f"mv {library}.kept {library}"
    else:
        host.run("umount /mnt && mount -o loop /root/small /var/lib/docker")
        undo = "umount /var/lib/docker"
    try:
        with pytest.raises(HandOverError, match=r"MiB are free .* nothing was changed"):
            host.deploy(applications.bundle("1.4.0"))
    finally:
        host.run(f"{undo}; rm -f /root/small")
    assert serves(host, first_version, "1.0.0")


def test_a_cut_network_is_noticed_in_time_and_the_next_run_converges(
    host: Host, applications: Applications, first_version: dict[str, Any], fault: Fault
) -> None:
    made = applications.bundle("1.5.0", "slow")
    host.said.clear()
    cut_at: list[float] = []
    served: list[str] = []

    def cut() -> None:
        give_up = time.monotonic() + 30
        while "running job migrate" not in host.said and time.monotonic() < give_up:
            time.sleep(0.1)
        ends.append(fault({"cut_network": host.server.name}))
        cut_at.append(time.monotonic())
        # The job goes on for longer than this.
        for _ in range(3):
            served.append(host.serves_itself(made))
            time.sleep(1)

    ends: list[Callable[[], None]] = []
    thread = threading.Thread(target=cut)
    thread.start()
    with pytest.raises(HandOverError, match="lost the server in the middle of a deploy") as error:
        host.deploy(made)
    noticed = time.monotonic() - cut_at[0]
    thread.join()
    assert [said.partition(" greeting")[0] for said in served] == ["version 1.0.0"] * 3
    assert noticed < 60
    assert "pulumi up" in error.value.remedy
    assert canaries_in(str(error.value)) == []
    ends[0]()
    host.wait()
    assert host.deploy(made)["version"] == "1.5.0"
    assert serves(host, made, "1.5.0")


def test_two_hand_overs_of_one_release_are_one_deploy(
    host: Host, applications: Applications
) -> None:
    made = applications.bundle("1.6.0", "slow")
    answers: list[dict[str, Any]] = []
    other = Host(host.server, host.host_key, host.maintenance, host.deploy_key, host.folder)
    threads = [
        threading.Thread(target=lambda each=each: answers.append(each.deploy(made)))
        for each in (host, other)
    ]
    for thread in threads:
        thread.start()
        time.sleep(3)
    for thread in threads:
        thread.join(90)
    assert [answer["version"] for answer in answers] == ["1.6.0", "1.6.0"]
    assert any("following the deploy of version 1.6.0 that test@here" in s for s in other.said)
    assert host.run("grep -c 1.6.0 /data/store/runs") == "1"


def test_everything_comes_back_after_a_reboot_and_after_a_power_cut(
    host: Host, first_version: dict[str, Any]
) -> None:
    host.server.reboot().wait_until_finished()
    host.wait()
    await_version(host, first_version, "1.0.0")
    host.server.reset().wait_until_finished()
    host.wait()
    await_version(host, first_version, "1.0.0")
    assert host.run("systemctl is-active deployment-flow-firewall") == "active"
    assert host.deploy(first_version)["changed"] is False


def test_a_server_that_lost_its_images_pulls_them_with_a_credential_of_its_own(
    host: Host, first_version: dict[str, Any]
) -> None:
    host.run("docker rm -f $(docker ps -aq) && docker image prune -af")
    assert host.run("docker image ls -q") == ""
    # What a boot runs: nobody hands over a credential then.
    host.run("systemctl restart deployment-flow")
    await_version(host, first_version, "1.0.0")


def test_a_deploy_that_a_reboot_interrupts_is_begun_anew(
    host: Host, applications: Applications, first_version: dict[str, Any]
) -> None:
    made = applications.bundle("1.7.0", "slow")
    timer = threading.Timer(6, lambda: host.server.reset().wait_until_finished())
    timer.start()
    with pytest.raises(HandOverError) as error:
        host.deploy(made)
    timer.join()
    assert "pulumi up" in error.value.remedy
    host.wait()
    await_version(host, first_version, "1.0.0")
    assert host.deploy(made)["version"] == "1.7.0"


def test_a_demo_is_behind_a_password_and_in_no_index(
    host: Host, applications: Applications
) -> None:
    made = applications.bundle("1.0.0", auth_user="demo", noindex=True)
    host.deploy(made)
    shut = host.get(made)
    assert shut.status_code == 401
    assert "noindex" in shut.headers["x-robots-tag"]
    assert host.get(made, auth=("demo", "wrong")).status_code == 401
    opened = host.get(made, auth=("demo", PASSWORD))
    assert opened.status_code == 200
    assert opened.text.startswith("version 1.0.0")
    assert host.get(made, "/healthz").status_code == 200
    assert host.deploy(made)["changed"] is False


def test_an_application_reaches_neither_metadata_nor_docker_nor_is_its_database_reached(
    host: Host, first_version: dict[str, Any]
) -> None:
    assert host.get(first_version, "/reach?169.254.169.254:80").text == "unreachable\n"
    assert host.get(first_version, "/reach?db:5432").text == "reached\n"
    assert host.get(first_version, "/socket").text == "missing\n"
    assert "5432" not in host.run("ss -Hltn")


def test_an_application_whose_compose_file_asks_for_ipv6_reaches_ipv6_addresses(
    host: Host, first_version: dict[str, Any]
) -> None:
    probe = f'print IO::Socket::IP->new(PeerAddr=>"[{host.address6}]:22", Timeout=>3) ? "yes" : $@'
    ask = "docker exec app-web-1 perl -MIO::Socket::IP -e"
    assert host.run(f"{ask} '{probe}'") == "yes"


def test_secrets_are_nowhere_but_in_files_of_root(
    host: Host, first_version: dict[str, Any]
) -> None:
    # Written as two halves, so that the search does not find itself.
    for secret in (SECRET, PASSWORD):
        pattern = f"{secret[:4]}[{secret[4]}]{secret[5:]}"
        assert host.ssh(f"grep -rl '{pattern}' /var/log /tmp /etc /run/log").stdout == ""
        assert host.ssh(f"journalctl --no-pager | grep '{pattern}'").stdout == ""
        assert host.ssh(f"ps axww -o args | grep '{pattern}'").stdout == ""
        found = host.ssh(f"grep -rl '{pattern}' /var/lib/deployment-flow").stdout.split()
        assert all(path.endswith("/environment.json") for path in found), found
    assert host.run("find /var/lib/deployment-flow -type f -perm /077") == ""


def test_a_stolen_deploy_key_cannot_take_the_server(
    host: Host, first_version: dict[str, Any]
) -> None:
    made = json.loads(json.dumps(first_version))
    compose = json.loads(made["files"]["compose.yaml"])
    compose["services"]["web"] |= {"privileged": True, "volumes": ["/:/host"]}
    made["files"]["compose.yaml"] = json.dumps(compose)
    with pytest.raises(HandOverError, match=r"privileged; services.web.volumes /:/host"):
        host.deploy(made)
    made["files"] = {**first_version["files"], "Caddyfile": "import /etc/shadow\n"}
    with pytest.raises(HandOverError, match="caddy refuses") as error:
        host.deploy(made)
    assert "root:" not in str(error.value) + "".join(host.said)
    assert serves(host, first_version, "1.0.0")


def test_the_agent_tells_status_and_logs(host: Host) -> None:
    told = json.loads(host.ssh("status", user="flow", key=host.deploy_key).stdout)["result"]
    assert {each["Service"] for each in told["containers"]} == {"web", "db"}
    assert all(each["State"] == "running" for each in told["containers"])
    logs = host.ssh("logs web 5", user="flow", key=host.deploy_key)
    assert '"ok": true' in logs.stdout
