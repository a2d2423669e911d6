"""Volumes: sparse files that show as block devices, and outlive servers and sandboxes."""

import json
import os
import subprocess
from pathlib import Path

from sandbox.hosts.interface import HostError

_GIGABYTE = 1 << 30


class VolumeFiles:
    """The volumes below one directory, by number."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)

    def path(self, volume_id: int) -> Path:
        """The file that holds a volume's bytes."""
        return self._directory / f"{volume_id}.img"

    def create(self, volume_id: int, size_gb: int, format: str | None) -> None:  # noqa: A002
        """A new volume, with a filesystem when a format is given (ext4 or xfs)."""
        path = self.path(volume_id)
        if path.exists():
            return
        building = path.with_suffix(".new")
        with building.open("wb") as file:
            file.truncate(size_gb * _GIGABYTE)
        if format is not None:
            _run(_MKFS[format] + [str(building)])
        building.rename(path)

    def delete(self, volume_id: int) -> None:
        """Forget a volume and its bytes."""
        self.release(volume_id)
        self.path(volume_id).unlink(missing_ok=True)

    def grow(self, volume_id: int, size_gb: int) -> None:
        """More room at the device's end; the filesystem on it is the guest's to grow."""
        os.truncate(self.path(volume_id), size_gb * _GIGABYTE)
        if device := self._device(volume_id):
            _run(["losetup", "--set-capacity", device])

    def device_number(self, volume_id: int) -> tuple[str, int, int]:
        """The volume's block device on this machine: its path, major and minor."""
        path = self.path(volume_id)
        if not path.exists():
            raise HostError(f"volume {volume_id} has no file at {path}")
        device = self._device(volume_id)
        if device is None:
            device = _run(["losetup", "--find", "--show", str(path)]).strip()
        number = Path(device).stat().st_rdev
        return device, os.major(number), os.minor(number)

    def release(self, volume_id: int) -> None:
        """Give the loop device back. Something that has it open keeps it until it closes."""
        if device := self._device(volume_id):
            subprocess.run(
                ["losetup", "--detach", device], capture_output=True, check=False, timeout=20
            )

    def release_all(self) -> None:
        """Give back every loop device of this directory."""
        for path in self._directory.glob("*.img"):
            self.release(int(path.stem))

    def _device(self, volume_id: int) -> str | None:
        listed = _run(["losetup", "--json", "--list", "--associated", str(self.path(volume_id))])
        devices = json.loads(listed or "{}").get("loopdevices", [])
        return str(devices[0]["name"]) if devices else None


_MKFS = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,nodiscard"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
}


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    except FileNotFoundError as error:
        raise HostError(f"{command[0]} is not installed here; a volume needs it") from error
    if done.returncode != 0:
        raise HostError(f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
