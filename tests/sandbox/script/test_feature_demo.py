"""feature-demo.sh on a bare Debian: up, update, a version that fails, removal without a trace."""

import json
import secrets
import time

import httpx
import pytest

from tests.sandbox.deploys.conftest import Applications, MakeHost
from tests.sandbox.script.conftest import REGISTRY_USER, Ended, Person
from tests.sandbox.script.leftovers import difference, docker_objects, listing
from tests.sandbox.script.repository import APPLICATION, COMPOSE, Repository

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]
BRANCH = "feature-demo/map"


def page(person: Person, password: str | None = None) -> httpx.Response:
    """The demo's page, as a browser asks for it."""
    made = {"hostname": person.domain}
    return (
        person.host.get(made)
        if password is None
        else (person.host.get(made, auth=("demo", password)))
    )


def status(person: Person) -> dict[str, object]:
    ended = person.calls("status --json")
    assert ended.code == 0, ended.said
    told: dict[str, object] = json.loads(ended.answered)
    return told


def flags(person: Person, repository: Repository) -> str:
    """Every answer as a flag; secrets in files."""
    server = person.applications.registry["server"]
    return (
        f"--git {repository.url} --git-token-file git-token --branch {BRANCH} "
        f"--domain {person.domain} --settings app.env --registry {server} "
        f"--registry-user {REGISTRY_USER} --registry-password-file registry-password "
        f"{person.authority} --yes"
    )


def refused(ended: Ended, cause: str, remedy: str) -> None:
    assert ended.code == 1, ended.said
    assert cause in ended.said.partition("error: ")[2].partition("next:")[0]
    assert remedy in ended.said.partition("next: ")[2]
    assert "Traceback" not in ended.said


def test_what_cannot_work_is_said_before_anything_is_changed(
    person: Person, repository: Repository
) -> None:
    repository.push(BRANCH, "one")
    before = listing(person.host)
    good = flags(person, repository)
    refused(
        person.calls(f"up {good.replace(BRANCH, 'feature-demo/mop')}"),
        "has no branch 'feature-demo/mop'; it has feature-demo/map", "--branch",
    )  # fmt: skip
    refused(
        person.calls(f"up {good.replace('--git-token-file git-token', '')}"),
        "is not public", "--git-token-file",
    )  # fmt: skip
    elsewhere = f"elsewhere.{person.applications.zone.name}"
    refused(
        person.calls(f"up {good.replace(person.domain, elsewhere)}"),
        "points at 203.0.113.250", f"{elsewhere}. A {person.host.address}",
    )  # fmt: skip
    refused(
        person.calls(f"up {good.replace(person.domain, 'nobody-has.test')}"),
        "nobody-has.test does not resolve", "DNS record",
    )  # fmt: skip
    person.host.run("systemd-run --quiet --unit=squatter python3 -m http.server 80")
    person.host.run(
        "for i in 1 2 3 4 5 6 7 8 9; do ss -Hltn | grep -q ':80 ' && break; sleep 1; done"
    )
    refused(person.calls(f"up {good}"), "port 80 is taken on this server by python3", "stop")
    person.host.run("systemctl stop squatter")
    # Not a file but a pipe, as `curl … | sh` is.
    piped = person.calls("status", program="cat feature-demo.sh | runuser -u nobody -- sh -s --")
    refused(piped, "needs root", "sudo")
    assert difference(before, listing(person.host)) == {}


def test_what_turns_out_wrong_later_is_taken_back(person: Person, repository: Repository) -> None:
    repository.push(BRANCH, "one", COMPOSE.replace("  web:\n", "  web:\n    privileged: true\n"))
    before = listing(person.host)
    ended = person.calls(flags(person, repository))
    refused(ended, "services.web.privileged", "correct it in the branch")
    assert "installing git" in ended.said
    assert difference(before, listing(person.host)) == {}


def test_an_installation_that_was_cut_short_is_removed_whole(
    person: Person, repository: Repository
) -> None:
    repository.push(BRANCH, "one")
    before = listing(person.host)
    person.host.run(
        f"systemd-run --quiet --unit=typed --working-directory=/root --setenv=HOME=/root "
        f"sh feature-demo.sh {flags(person, repository)}"
    )
    # In the middle of dpkg's work.
    person.host.run(
        "for i in $(seq 300); do dpkg-query -W -f '${db:Status-Abbrev}\n' | grep -q '^i[UFH]' && "
        "break; sleep 0.2; done; systemctl kill --kill-whom=all --signal=KILL typed"
    )
    assert "no demo on this server" in person.calls("update --yes").said
    person.host.run("sleep 2; rm -rf /tmp/tmp.* /tmp/feature-demo-*; systemctl reset-failed")
    removed = person.calls("remove --yes")
    assert removed.code == 0, removed.said
    assert difference(before, listing(person.host)) == {}


def test_a_demo_from_first_command_to_nothing_left(person: Person, repository: Repository) -> None:
    first = repository.push(BRANCH, "one")
    before = listing(person.host)
    started = time.monotonic()
    ended = person.calls(flags(person, repository))
    assert ended.code == 0, ended.said
    print(f"up on a bare server: {time.monotonic() - started:.1f} s")
    assert f"is live at https://{person.domain}" in ended.said
    told = status(person)
    assert (told["version"], told["revision"]) == (first[:12], first)
    password = str(told["password"])
    assert password not in ended.said
    hidden = page(person)
    assert (hidden.status_code, hidden.headers["x-robots-tag"]) == (401, "noindex, nofollow")
    shown = page(person, password)
    assert (shown.status_code, "greeting one" in shown.text) == (200, True)
    assert "noindex" in shown.headers["x-robots-tag"]
    # The same agent and the same release as a stack's deploy has.
    release = "$(readlink -f /var/lib/deployment-flow/current)/.."
    assert set(person.host.run(f"ls {release}").split()) == {
        *("Caddyfile", "acme-root.pem", "compose.yaml", "environment.json", "manifest.json"),
        *("blue", "green"),
    }

    # Nothing new: nothing is done.
    again = person.calls("update --yes", program="feature-demo.sh")
    assert again.code == 0, again.said
    assert "already runs" in again.said

    second = repository.push(BRANCH, "two")
    updated = person.calls("update --yes", program="feature-demo.sh")
    assert updated.code == 0, updated.said
    assert status(person)["version"] == second[:12]
    assert "greeting two" in page(person, password).text

    # After a boot the release comes up again, though no registry has its images.
    person.host.run("docker rm -f $(docker ps -aq) && systemctl start deployment-flow.service")
    assert "greeting two" in page(person, password).text

    # A version whose migration fails (and says a secret while it does) replaces nothing.
    person.host.run("{ cat app.env; echo VARIANT=fail; } > failing.env")
    repository.push(BRANCH, "three")
    failed = person.calls("update --settings failing.env --yes")
    refused(failed, "job migrate failed", "correct what the lines above say")
    assert "migration 7 failed, token ***" in failed.said
    assert status(person)["version"] == second[:12]
    assert "greeting two" in page(person, password).text

    runs = person.host.run("cat /data/store/runs").splitlines()
    removed = person.calls("remove --yes")
    assert removed.code == 0, removed.said
    dump = removed.answered.strip().splitlines()[-1]
    assert person.host.run(f"stat -c %a {dump}") == "600"
    assert person.host.run(f"tar -xzOf {dump} data/store/runs").splitlines() == runs
    person.host.run("rm failing.env")
    assert difference(before, listing(person.host)) == {
        "files of root": [f"+ {dump.removeprefix('/root/')}"]
    }

    # Unpacked first, the dump is what the next demo goes on with.
    repository.push(BRANCH, "four")
    person.host.run(f"tar -xzf {dump} -C / data && rm {dump}")
    back = person.calls(flags(person, repository))
    assert back.code == 0, back.said
    assert person.host.run("cat /data/store/runs").splitlines()[:-1] == runs
    assert person.calls("remove --yes --no-dump").code == 0
    person.host.run("rmdir /data")
    assert difference(before, listing(person.host)) == {}


def test_a_person_answers_the_questions_and_images_come_from_a_registry(person: Person) -> None:
    applications = person.applications
    for version in ("base", "1.0.0"):
        applications.build(version)
    before = listing(person.host)
    person.host.run("mkdir -p app")
    sent = person.host.ssh(
        "cat > app/compose.yaml", text=(APPLICATION / "compose.yaml").read_text()
    )
    assert sent.returncode == 0, sent.stderr
    password = str(applications.pull["password"])
    dialogue = [
        (r"Git URL of the application, or a folder of this server: ", "/root/app"),
        (r"Branch \[app\]: ", BRANCH),
        (r"File with the application's settings.*: ", "app.env"),
        (r"Where its images are.*: ", applications.prefix),
        (r"User of that registry.*: ", REGISTRY_USER),
        (r"Password of that user.*: ", password),
        (r"Domain of the demo \[map\.[0-9-]+\.sslip\.io\]: ", person.domain),
    ]
    no = person.answers(f"up --version 1.0.0 {person.authority}", [*dialogue, (r"\[y/N\] ", "n")])
    assert no.code == 1
    assert "nothing was changed" in no.said
    assert password not in no.said
    yes = person.answers(f"up --version 1.0.0 {person.authority}", [*dialogue, (r"\[y/N\] ", "y")])
    assert yes.code == 0, yes.said
    assert password not in yes.said
    told = status(person)
    assert told["version"] == "1.0.0"
    assert "version 1.0.0" in page(person, str(told["password"])).text
    kept = person.answers("remove --no-dump", [(r"\[y/N\] ", "")])
    assert kept.code == 1
    assert page(person).status_code == 401
    gone = person.answers("remove --no-dump", [(r"\[y/N\] ", "y")])
    assert gone.code == 0, gone.said
    person.host.run("rm -r app")
    assert difference(before, listing(person.host)) == {}


def test_docker_and_caddy_that_were_there_before_stay_as_they_were(
    make_host: MakeHost, applications: Applications, base_image: str, repository: Repository
) -> None:
    host = make_host(f"equipped-{secrets.token_hex(2)}")
    host.wait()
    host.run("cloud-init status --wait >/dev/null || true; rm -f /etc/docker/daemon.json")
    applications.point(str(host.server.name), host.address)
    person = Person(host, applications, base_image)
    person.copies()
    # Somebody else's container, image and volume, and a service of theirs.
    host.run(
        "systemctl start docker && docker volume create theirs && docker network create theirs"
    )
    host.run("tar -c -C /usr/bin true | docker import - theirs:1 && mkdir -p /data/theirs")
    host.run("docker run --name theirs theirs:1 /true || true")
    repository.push(BRANCH, "one")
    before = listing(host) | docker_objects(host)
    ended = person.calls(flags(person, repository))
    assert ended.code == 0, ended.said
    # Docker would have to start anew for it, and their containers with it.
    assert "ip6tables" not in host.run("cat /etc/docker/daemon.json")
    removed = person.calls("remove --yes --no-dump")
    assert removed.code == 0, removed.said
    assert difference(before, listing(host) | docker_objects(host)) == {}
