"""One stage of the deployment flow: its settings, what it must not lose, one Environment."""

import os
import signal
import time

import pulumi

import settings
from components.environment import Environment
from planning import login, plan, record, releases, rescue, sleep, token

if __name__ == "__main__":
    # The engine interrupts the program when a resource has failed: a traceback of that would
    # stand below the cause, and look like it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

now = time.time()
configured = settings.load(now)
last = record.read()
stage = login.with_kept(settings.recall(configured, last.outputs, now), last)
# The preview of an `up` looks like any other: which token will do is said by who starts it.
token.check(stage, last, only_preview="FLOW_ONLY_PREVIEW" in os.environ)
where = plan.place(stage, last)
allowed = plan.check(stage, last, where)
at_github = plan.at_github(stage, last)
release = releases.choose(stage, last)
asleep = sleep.rest(stage, last, release, now)
expires = settings.expiry(
    stage, now=now, recorded=last.expires, same_release=release.output() == last.release
)
rescue.cover(stage, where.location)
arguments = plan.arguments(
    stage, where, release, expires, allowed, at_github, earlier=last.releases, now=now
)
arguments["asleep"] = sleep.kept(asleep, last.outputs)
environment = Environment(stage.stack, arguments)
outputs = {
    "url": environment.url,
    "hostname": environment.hostname,
    "ipv4": environment.server.ipv4,
    "ipv6": environment.server.ipv6,
    "version": environment.version,
    "release": environment.release_id,
    "expires": expires,
    "until": stage.until,
    "branch": stage.branch,
    "ssh": environment.ssh,
    "password": environment.password,
    "deploy_key": environment.server.deploy_key,
    "known_hosts": environment.server.known_hosts,
    "dns_records": environment.dns_records if stage.zone is None else None,
    "protected": stage.protected,
    "asleep": asleep,
}
for name, value in outputs.items():
    if value is not None:
        pulumi.export(name, value)
