"""Pulumi without an engine: mocks that know what this program may call, and a spy on options.

`engine` is there for every test. A function or resource type nobody foresaw raises, so that a
new one is never mocked by accident. What a resource was registered *with* (parent, protect,
ignore_changes, aliases…) is kept beside its inputs: nothing else shows it.
"""

import asyncio
import json
import runpy
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import mocks, rpc
from pulumi.runtime.settings import SETTINGS, set_root_resource
from pulumi.runtime.stack import run_in_stack

ROOT = Path(__file__).parents[2]
PROJECT = "deployment-flow"


def _answer(command: dict[str, Any]) -> str:
    """What remote/hand_over.py says at its end."""
    if command["create"].endswith("provision"):
        return json.dumps({"software": "cafe", "cloud_init": "done"})
    bundle = json.loads(command["stdin"])["bundle"]
    return json.dumps(
        {
            "version": bundle["version"],
            "release": bundle["id"],
            "url": bundle["url"],
            "changed": True,
            "tls": "issued",
        }
    )


Outputs = Callable[[dict[str, Any]], dict[str, Any]]

# Output properties each resource has beyond its inputs.
RESOURCES: dict[str, Outputs] = {
    "hcloud:index/server:Server": lambda _: {
        "ipv4Address": "203.0.113.10",
        "ipv6Address": "2001:db8:1:1::1",
        "status": "running",
    },
    "hcloud:index/primaryIp:PrimaryIp": lambda inputs: (
        {"ipAddress": "203.0.113.10"}
        if inputs["type"] == "ipv4"
        else {"ipAddress": "2001:db8:1:1::", "ipNetwork": "2001:db8:1:1::/64"}
    ),
    "hcloud:index/volume:Volume": lambda _: {"linuxDevice": "/dev/disk/by-id/scsi-0HC_Volume_1001"},
    "hcloud:index/volumeAttachment:VolumeAttachment": lambda _: {},
    "hcloud:index/firewall:Firewall": lambda _: {},
    "hcloud:index/sshKey:SshKey": lambda _: {"fingerprint": "00:11"},
    "hcloud:index/zoneRrset:ZoneRrset": lambda _: {},
    "pulumi:providers:github": lambda _: {},
    "github:index/repositoryEnvironment:RepositoryEnvironment": lambda _: {},
    "github:index/repositoryEnvironmentDeploymentPolicy:RepositoryEnvironmentDeploymentPolicy": (
        lambda _: {}
    ),
    "github:index/actionsEnvironmentSecret:ActionsEnvironmentSecret": lambda _: {},
    "github:index/actionsEnvironmentVariable:ActionsEnvironmentVariable": lambda _: {},
    "github:index/repositoryRuleset:RepositoryRuleset": lambda _: {},
    "pulumi:index:Stash": lambda inputs: {"output": inputs["input"]},
    "command:local:Command": lambda inputs: {"stdout": _answer(inputs), "stderr": ""},
}


@dataclass(frozen=True)
class Registered:
    """One resource as it was registered."""

    type: str
    name: str
    inputs: dict[str, Any]
    """Secrets are plain here; `secret_inputs` says which they were."""
    secret_inputs: frozenset[str]
    parent: str
    """URN, or "" for none."""
    protect: bool
    ignore_changes: tuple[str, ...]
    aliases: tuple[str, ...]
    deleted_with: str
    depends_on: tuple[str, ...]
    additional_secret_outputs: tuple[str, ...]
    import_id: str
    custom: bool


@dataclass
class Engine(mocks.Mocks):
    """What stands in for the engine, and what it was told."""

    registered: list[Registered] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    """The stack's outputs; secrets plain, `secret_outputs` names them."""
    secret_outputs: set[str] = field(default_factory=set)
    component_outputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What components said at their end, by name and type; secrets plain."""
    secret_component_outputs: set[tuple[str, str]] = field(default_factory=set)
    """Which of those are secret: (name and type, output)."""
    state: dict[str, Any] = field(default_factory=dict)
    """What the stack's state holds: {URN: {"type", "outputs"}}."""

    def call(self, args: mocks.MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Answer the functions of providers that the program may call."""
        if args.token == "pulumi:pulumi:readStackResourceOutputs":
            return {"name": args.args["stackName"], "outputs": self.state}, []
        raise AssertionError(f"no mock for function {args.token}")

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str, dict[str, Any]]:
        """Make the resources that the program may register."""
        if args.typ.startswith("deployment-flow:index:"):
            return "", dict(args.inputs)
        if args.typ not in RESOURCES:
            raise AssertionError(f"no mock for resource {args.typ}")
        # The same thing has the same id in the next run, as in a state.
        id_ = str(1000 + zlib.crc32(f"{args.typ} {args.name}".encode()) % 9_000_000)
        return id_, {**args.inputs, **RESOURCES[args.typ](_plain(args.inputs))}

    def of_type(self, kind: str) -> list[Registered]:
        """Registered resources whose type ends with `kind`: Server, Volume, Command…"""
        return [each for each in self.registered if each.type.rpartition(":")[2] == kind]

    def one(self, kind: str, name: str | None = None) -> Registered:
        """The only resource of a type, or the one of that name."""
        found = [each for each in self.of_type(kind) if name is None or each.name == name]
        assert len(found) == 1, f"{len(found)} resources {kind} {name or ''}"
        return found[0]


class Spy(mocks.MockMonitor):
    """The mocks' monitor, with what mocks are not told: options and stack outputs."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._engine = engine

    def RegisterResource(self, request: Any) -> Any:  # noqa: N802 (name of the protocol)
        if request.type != "pulumi:pulumi:Stack":
            inputs = rpc.deserialize_properties(request.object, keep_unknowns=True)
            plain = {key: rpc.unwrap_rpc_secret(value) for key, value in inputs.items()}
            self._engine.registered.append(
                Registered(
                    type=request.type,
                    name=request.name,
                    inputs=_plain(plain),
                    secret_inputs=frozenset(
                        key for key, value in inputs.items() if rpc.is_rpc_secret(value)
                    ),
                    parent=request.parent,
                    protect=request.protect,
                    ignore_changes=tuple(request.ignoreChanges),
                    aliases=tuple(str(each) for each in request.aliases),
                    deleted_with=request.deletedWith,
                    depends_on=tuple(request.dependencies),
                    additional_secret_outputs=tuple(request.additionalSecretOutputs),
                    import_id=request.importId,
                    custom=request.custom,
                )
            )
        with _own_loop():
            return super().RegisterResource(request)  # type: ignore[no-untyped-call]

    def Invoke(self, request: Any) -> Any:  # noqa: N802
        with _own_loop():
            return super().Invoke(request)  # type: ignore[no-untyped-call]

    def RegisterResourceOutputs(self, request: Any) -> Any:  # noqa: N802
        if "pulumi:pulumi:Stack::" in request.urn and request.outputs.fields:
            outputs = rpc.deserialize_properties(request.outputs)
            self._engine.outputs = {
                key: _plain(rpc.unwrap_rpc_secret(value)) for key, value in outputs.items()
            }
            self._engine.secret_outputs = {
                key for key, value in outputs.items() if rpc.is_rpc_secret(value)
            }
        elif request.outputs.fields:
            *_, kind, name = request.urn.split("::")
            outputs = rpc.deserialize_properties(request.outputs)
            component = name + kind.rpartition("$")[2]
            self._engine.component_outputs[component] = _plain(outputs)
            self._engine.secret_component_outputs |= {
                (component, key) for key, value in outputs.items() if rpc.is_rpc_secret(value)
            }
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


@contextmanager
def _own_loop() -> Iterator[None]:
    """A loop for a worker thread, closed again: the mocks would leave one open in each."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            yield
        finally:
            asyncio.set_event_loop(None)
            loop.close()
    else:
        yield


def _plain(value: Any) -> Any:
    """A value with every secret inside it unwrapped."""
    if rpc.is_rpc_secret(value):
        return _plain(rpc.unwrap_rpc_secret(value))
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


RunProgram = Callable[..., Engine]


@pytest.fixture(autouse=True)
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """A fresh engine for each test."""
    for variable in ("HCLOUD_TOKEN", "HCLOUD_ENDPOINT", "PULUMI_CONFIG"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("REGISTRY_USERNAME", "REGISTRY_PASSWORD", "DEMO_HOSTS", "DEMO_SSH_KEY"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("GITHUB_TOKEN", "GITHUB_BASE_URL", "GITHUB_API_URL"):
        monkeypatch.delenv(variable, raising=False)
    yield Engine()
    pulumi.runtime.set_all_config({}, [])


def use(engine: Engine, stack: str) -> None:
    """Make `engine` the one that Pulumi's runtime talks to."""
    mocks.set_mocks(engine, project=PROJECT, stack=stack, preview=False, monitor=Spy(engine))


def run(engine: Engine, stack: str, program: Callable[[], Any]) -> Engine:
    """Run `program` as the engine would, to the last pending output; its errors are raised."""

    async def whole() -> None:
        use(engine, stack)
        # Mocks bring a root of their own, and the run that comes makes the one that counts.
        set_root_resource(None)  # type: ignore[arg-type]
        SETTINGS.rpc_manager.clear()
        SETTINGS.outputs.clear()
        await run_in_stack(program)

    asyncio.run(whole())
    return engine


@pytest.fixture
def run_program(engine: Engine) -> RunProgram:
    """Runs __main__.py for a stack: run_program("dev", {"zone": "example.org"}, {"secret"})."""

    def start(
        stack: str, config: Mapping[str, Any] | None = None, secrets: set[str] | None = None
    ) -> Engine:
        texts = {
            key if ":" in key else f"{PROJECT}:{key}": (
                value if isinstance(value, str) else json.dumps(value)
            )
            for key, value in (config or {}).items()
        }
        secret = [each if ":" in each else f"{PROJECT}:{each}" for each in secrets or set()]
        pulumi.runtime.set_all_config(texts, [*secret, "hcloud:token"])
        return run(engine, stack, lambda: runpy.run_path(str(ROOT / "__main__.py")))

    return start
