"""Small text files that a Compose file takes from the application's folder, written into it.

A server gets a release and no checkout. What `configs:` names as a file, and a single file that is
mounted read-only, becomes the content of a config: part of the release, of its id, and of what a
rollback goes back to.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from components.compose import services_of

LIMIT: Final = 256 * 1024
"""Bytes of all files together; the stack's state keeps them with each release it can go back to."""
_READABLE: Final = 0o444
_RUNNABLE: Final = 0o555
_SECRET_NAME: Final = re.compile(r"\.env(\.(?!example|sample|template|dist).*)?|.*\.(key|p12|pfx)")
_SECRET_TEXT: Final = re.compile(r"^-----BEGIN [A-Z ]*PRIVATE KEY-----", re.MULTILINE)


class _UnfitError(ValueError):
    """A file that cannot go into a release; the message has the remedy."""


def carry(compose: Mapping[str, Any], base: Path, within: Path) -> tuple[dict[str, Any], list[str]]:
    """The Compose file with its files in it, and a sentence for each file that cannot be.

    compose  one whose shapes are checked (compose_check)
    base     the Compose file's folder, to which its paths are relative
    within   the application's folder, out of which nothing is read
    """
    return _Carrier(compose, base, within).result()


class _Carrier:
    def __init__(self, compose: Mapping[str, Any], base: Path, within: Path) -> None:
        self._compose = compose
        self._base = base
        self._within = within.resolve()
        self._left = LIMIT
        self._mistakes: list[str] = []
        self._configs: dict[str, Any] = {**(compose.get("configs") or {})}
        self._runnable: set[str] = set()

    def result(self) -> tuple[dict[str, Any], list[str]]:
        for name, config in list(self._configs.items()):
            path = (config or {}).get("file")
            if not isinstance(path, str):
                continue
            text, mode = self._read(path, f"configs.{name}.file")
            kept = {key: value for key, value in config.items() if key != "file"}
            self._configs[name] = {**kept, "content": text}
            if mode == _RUNNABLE:
                self._runnable.add(name)
        running = services_of(self._compose)
        services = {
            name: self._service(str(name), service) if name in running else service
            for name, service in self._compose["services"].items()
        }
        made = {**self._compose, "services": services}
        if self._configs:
            made["configs"] = self._configs
        return made, self._mistakes

    def _service(self, name: str, service: Mapping[str, Any]) -> dict[str, Any]:
        made = dict(service)
        given = service.get("configs")
        references = [self._reference(each) for each in given] if isinstance(given, list) else []
        mounts = []
        for entry in service.get("volumes") or []:
            source, target, is_read_only = _bind(entry)
            is_ours = source.startswith(("./", "../"))
            path = self._base / source
            if not is_ours or "$" in f"{source}{target}" or not target.startswith("/"):
                mounts.append(entry)
            elif path.is_dir() and is_read_only:
                self._mistakes.append(
                    f"services.{name}.volumes: {source} is a folder; mount its files one by one "
                    "with `:ro`, or put it into the image (COPY)"
                )
            elif path.is_file() and not is_read_only:
                self._mistakes.append(
                    f"services.{name}.volumes: {source} is a file of the application; mount it "
                    f"read-only, as {source}:{target}:ro, and the release has it in it"
                )
            elif not is_read_only:
                mounts.append(entry)
            else:
                text, mode = self._read(source, f"services.{name}.volumes")
                config = self._named(f"{name}{target}")
                self._configs[config] = {"content": text}
                references.append({"source": config, "target": target, "mode": mode})
        if len(mounts) != len(service.get("volumes") or []):
            made["volumes"] = mounts
        if references:
            made["configs"] = references
        return made

    def _reference(self, entry: Any) -> Any:
        """A service's config, runnable where its file is, as it is on a developer's machine."""
        written = {"source": entry} if isinstance(entry, str) else entry
        if not isinstance(written, Mapping) or written.get("source") not in self._runnable:
            return entry
        return {"mode": _RUNNABLE, **written}

    def _named(self, wish: str) -> str:
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", wish).strip("-")
        while name in self._configs:
            name += "-"
        return name

    def _read(self, path: str, where: str) -> tuple[str, int]:
        """A file's text as Compose takes it, and its mode; "" once it is a mistake."""
        try:
            return self._fit(path)
        except (_UnfitError, OSError) as error:
            said = str(error) if isinstance(error, _UnfitError) else f"cannot be read ({error})"
            self._mistakes.append(f"{where}: {path} {said}")
            return "", _READABLE

    def _fit(self, path: str) -> tuple[str, int]:
        if "$" in path:
            raise _UnfitError("holds a variable; write the file's name out")
        file = (self._base / path).resolve()
        if not file.is_relative_to(self._within):
            raise _UnfitError("is outside of the application's folder; move it there")
        if not file.is_file():
            raise _UnfitError("is no file in the application's folder; commit it there")
        status = file.stat()
        if status.st_size > self._left:
            raise _UnfitError(
                f"makes the release's files more than {LIMIT // 1024} KiB; put it into the image"
            )
        try:
            text = file.read_bytes().decode()
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            raise _UnfitError("is not text in UTF-8; put it into the image")
        names = (Path(path).name, file.name)
        if any(map(_SECRET_NAME.fullmatch, names)) or _SECRET_TEXT.search(text):
            raise _UnfitError(
                "looks like a secret, and a release is no secret; give it as secrets in the "
                "settings, and as `secrets: {NAME: {environment: NAME}}` here"
            )
        self._left -= status.st_size
        # Compose takes a config without any content for one without a source.
        escaped = text.replace("$", "$$") or "\n"
        return escaped, _RUNNABLE if status.st_mode & 0o100 else _READABLE


def _bind(entry: Any) -> tuple[str, str, bool]:
    """Source, target and whether it is read-only, of a mount in either spelling."""
    if isinstance(entry, Mapping):
        if entry.get("type") != "bind":
            return "", "", False
        source = str(entry.get("source") or "")
        if not source.startswith((".", "/", "~")):
            source = f"./{source}"  # no volume's name, in this spelling
        return source, str(entry.get("target") or ""), entry.get("read_only") is True
    source, _, rest = str(entry).partition(":")
    target, _, options = rest.partition(":")
    return source, target, "ro" in options.split(",")
