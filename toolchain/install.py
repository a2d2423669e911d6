"""Install the engine, the language host and the plugins into `.toolchain/`.

    python3 -m toolchain.install                    # what a person runs (make setup)
    python3 -m toolchain.install --build            # never look for official programs
    python3 -m toolchain.install --without-sandbox  # only what a deployment needs
    python3 -m toolchain.install --pinned           # what a workflow's run takes

It takes a `pulumi` on PATH that is new enough, else the official release where it
can be downloaded, else builds from pinned Go modules. With --pinned the release comes
first: what a runner's image has on PATH is another version next week. Plugins follow
the same order.
Everything it says goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from toolchain import build, official
from toolchain.build import Report
from toolchain.errors import InstallError
from toolchain.versions import plugin_versions

#: Raised when the same programs are put elsewhere in `.toolchain/`.
LAYOUT = 2

PROJECT = Path(__file__).resolve().parent.parent


class Installation:
    """The directory `.toolchain/` of one checkout.

    `bin/` holds the programs; `pulumi-home/plugins/` is the plugin cache,
    under the names and versions the pinned SDKs ask for; `installed.json` remembers
    what was installed from which inputs.
    """

    def __init__(self, project: Path = PROJECT) -> None:
        self.root = project / ".toolchain"
        self.bin = self.root / "bin"
        self.home = self.root / "pulumi-home"
        self.record = self.root / "installed.json"
        self.plugins = plugin_versions(project / "requirements.txt")

    def plugin_directory(self, name: str) -> Path:
        """Return where the engine looks for a plugin of the version its SDK asks for."""
        return self.home / "plugins" / f"resource-{name}-v{self.plugins[name]}"

    def is_current(self, wanted: dict[str, object]) -> bool:
        """Tell whether what is wanted was installed already and is still there."""
        try:
            recorded = json.loads(self.record.read_text())
        except (OSError, ValueError):
            return False
        return bool(recorded["wanted"] == wanted) and all(
            (self.root / path).exists() for path in recorded["programs"]
        )

    def place(self, name: str, program: Path) -> None:
        """Make `bin/<name>` a program, replacing what was there in one step.

        The engine warns when the language host is not in its own real directory, so
        what comes from the cache is a hard link or a copy; only a Pulumi that somebody
        else installed, where both lie together, is linked to.
        """
        if not program.is_relative_to(build.cache_root()):
            _link(self.bin / name, program)
            return
        self.bin.mkdir(parents=True, exist_ok=True)
        partial = self.bin / f".{name}-{os.getpid()}"
        try:
            partial.hardlink_to(program)
        except OSError:  # another file system
            shutil.copy2(program, partial)
        partial.replace(self.bin / name)

    def link_plugin(self, name: str, target: Path) -> None:
        """Put a plugin that was built where the engine looks for it."""
        _link(self.plugin_directory(name) / target.name, target)

    def remember(self, wanted: dict[str, object]) -> None:
        """Record what is installed now, for the next run."""
        programs = [
            str(path.relative_to(self.root))
            for pattern in ("bin/*", "pulumi-home/plugins/*/pulumi-resource-*")
            for path in sorted(self.root.glob(pattern))
        ]
        partial = self.record.with_suffix(f".{os.getpid()}")
        partial.write_text(json.dumps({"wanted": wanted, "programs": programs}, indent=2) + "\n")
        partial.replace(self.record)


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    partial = link.with_name(f".{link.name}-{os.getpid()}")
    partial.symlink_to(target)
    partial.replace(link)


def install(
    installation: Installation,
    report: Report,
    *,
    only_build: bool = False,
    sandbox: bool = True,
    pinned: bool = False,
) -> None:
    """Bring `.toolchain/` up to date; does nothing when it is.

    pinned  prefer the pinned release to a Pulumi on PATH

    Raises InstallError with a remedy when something can neither be found, downloaded
    nor built.
    """
    wanted: dict[str, object] = {
        "layout": LAYOUT,
        "inputs": [target.key() for target in build.TARGETS],
        "plugins": installation.plugins,
        "only_build": only_build,
        "sandbox": sandbox,
        **({"pinned": True} if pinned else {}),
    }
    if installation.is_current(wanted):
        return
    with build.locked(report):
        if installation.is_current(wanted):  # the installation we waited for was this one
            return
        programs = None if only_build else _official_programs(installation, report, pinned=pinned)
        targets = [] if programs else [build.ENGINE, build.LANGUAGE_HOST]
        missing = _missing_plugins(installation, programs, report)
        targets += [build.PLUGINS[name] for name in missing]
        if sandbox:
            targets += build.SANDBOX
        built = build.build(targets, report)
        for name in missing:
            installation.link_plugin(name, built.pop(build.PLUGINS[name].name))
        for name, path in {**(programs or {}), **built}.items():
            installation.place(name, path)
        installation.remember(wanted)
    report(f"the toolchain is ready in {installation.root.name}/")


def _official_programs(
    installation: Installation, report: Report, *, pinned: bool
) -> dict[str, Path] | None:
    if pinned and (programs := official.release(report)):
        return programs
    found = official.on_path(installation.bin, report)
    return found or (None if pinned else official.release(report))


def _missing_plugins(
    installation: Installation, programs: dict[str, Path] | None, report: Report
) -> list[str]:
    """Download official plugins where that is possible and name those left to build."""
    missing = list(installation.plugins)
    while programs and missing:
        name = missing[0]
        # Where one cannot be downloaded the others cannot either: ask once only.
        if not official.plugin(
            programs["pulumi"], installation.home, name, installation.plugins[name], report
        ):
            break
        missing.pop(0)
    return missing


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m toolchain.install", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument(
        "--build", action="store_true", help="build everything, use no official program"
    )
    parser.add_argument(
        "--without-sandbox", action="store_true", help="leave out what only the sandbox needs"
    )
    parser.add_argument(
        "--pinned", action="store_true", help="take the pinned release before a pulumi on PATH"
    )
    options = parser.parse_args(arguments)
    try:
        install(
            Installation(),
            _say,
            only_build=options.build,
            sandbox=not options.without_sandbox,
            pinned=options.pinned,
        )
    except InstallError as error:
        _say(f"error: {error}")
        return 1
    except OSError as error:
        _say(
            f"error: {error}. Programs are kept in {build.cache_root()} (XDG_CACHE_HOME moves it) "
            f"and put into {PROJECT / '.toolchain'}: both must be writable and have 2 GB free."
        )
        return 1
    except KeyboardInterrupt:
        _say("stopped; what was built so far is kept, the next run goes on from there")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
