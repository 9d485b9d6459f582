"""A throw-away systemd that boots in seconds from this machine's own /usr, for units that want a real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.waiting import until

BOOT_S = 60.0
MASKED = (
    "ldconfig",
    "systemd-firstboot",
    "systemd-hwdb-update",
    "systemd-journal-catalog-update",
    "systemd-logind",
    "systemd-networkd",
    "systemd-networkd-wait-online",
    "systemd-resolved",
    "systemd-timesyncd",
)
TARGET = "[Unit]\nRequires=basic.target\nAfter=basic.target\nWants={unit}\nAllowIsolate=yes\n"


class CannotBootError(Exception):
    """This machine does not let a container boot; says nothing about what would have run in it."""


def unable() -> str:
    """Say why no container can boot here, "" where nothing is known to be in the way."""
    if os.geteuid() != 0:
        return "not root"
    programs = ("systemd-nspawn", "nsenter", "unshare", "systemctl", "mount")
    missing = [name for name in programs if not shutil.which(name)]
    return f"not installed: {', '.join(missing)}" if missing else ""


class Container:
    """A machine with systemd, this machine's /usr and what is put into it; loopback is its only network."""

    def __init__(
        self, folder: Path, *, unit: str, files: Mapping[str, str], mounts: Mapping[Path, str]
    ) -> None:
        """Lay out what will be seen inside.

        Args:
            folder: Its own.
            unit: What the boot is for.
            files: Text of files by their path inside, below /etc.
            mounts: Folders of this machine by the path they get inside; read-only.
        """
        self.unit = unit
        self.folder = folder
        self._root = folder / "root"
        self._etc = folder / "etc"
        self._console = folder / "console.log"
        self._mounts = mounts
        self._process: subprocess.Popen[bytes] | None = None
        (self._root / "usr").mkdir(parents=True)
        for name in ("bin", "sbin", "lib", "lib64"):
            (self._root / name).symlink_to(f"usr/{name}")
        for path, text in {**files, "systemd/system/under-test.target": TARGET.format(unit=unit)}.items():
            (self._etc / path).parent.mkdir(parents=True, exist_ok=True)
            (self._etc / path).write_text(text)
        for name in MASKED:
            (self._etc / "systemd" / "system" / f"{name}.service").symlink_to("/dev/null")

    def __enter__(self) -> Self:
        """Boot, and return when its systemd answers.

        Raises:
            CannotBootError: It ended before.
        """
        binds = [f"--bind={path}:/etc/{path.relative_to(self._etc)}" for path in self._leaves()]
        binds += [f"--bind-ro={path}:{inside}" for path, inside in self._mounts.items()]
        with self._console.open("wb") as console:
            self._process = subprocess.Popen(
                [
                    *("unshare", "--mount", "--propagation", "private", "sh", "-c"),
                    'mount --bind /usr "$0/usr" && exec systemd-nspawn -D "$0" "$@"',
                    str(self._root),
                    *("--volatile=yes", "--register=no", "--keep-unit", "--private-network"),
                    *("--console=pipe", "--link-journal=no", *binds, "-b", "systemd.unit=under-test.target"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        until(self._answers, within_s=BOOT_S, what=f"systemd answers; its console says {self.console}")
        return self

    def __exit__(self, *_: object) -> None:
        """Switch it off as one pulls a plug."""
        assert self._process is not None
        for pid in self._below(self._process.pid):
            subprocess.run(["kill", "-KILL", str(pid)], check=False)
        self._process.kill()
        self._process.wait(20)

    @property
    def console(self) -> str:
        """What it has said so far."""
        return self._console.read_text(errors="replace")[-4000:]

    def run(self, *command: str) -> str:
        """Run a command inside and return what it printed."""
        assert self._process is not None
        leader = self._below(self._process.pid)[0]
        inside = ["nsenter", "-t", str(leader), "-m", "-u", "-i", "-n", "-p", "--"]
        done = subprocess.run([*inside, *command], check=False, capture_output=True, text=True, timeout=180)
        return done.stdout + done.stderr

    def show(self, *names: str) -> dict[str, str]:
        """Return properties of the unit."""
        said = self.run("systemctl", "show", self.unit, *(f"--property={name}" for name in names))
        return dict(line.split("=", 1) for line in said.splitlines() if "=" in line)

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise CannotBootError(self.console.strip().rpartition("\n")[2])
        return bool(self._below(self._process.pid)) and "ActiveState" in self.show("ActiveState")

    def _leaves(self) -> list[Path]:
        """Name the folders of /etc that are ours to bind: those that hold files."""
        return sorted({path.parent for path in self._etc.rglob("*") if not path.is_dir()})

    @staticmethod
    def _below(pid: int) -> list[int]:
        """Return the children of a process."""
        children = Path(f"/proc/{pid}/task/{pid}/children")
        return [int(word) for word in children.read_text().split()] if children.exists() else []


def python_inside() -> tuple[dict[Path, str], str, dict[str, str]]:
    """Return the mounts, the interpreter and the environment that run this checkout inside a container.

    The interpreter of a checkout may lie in somebody's home, which the unit under test may not see.
    """
    checkout = Path(__file__).parents[2]
    packages = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    mounts = {checkout / "edge": "/opt/edge/edge", packages: "/opt/edge/packages"}
    environment = {"PYTHONPATH": "/opt/edge:/opt/edge/packages"}
    interpreter = Path(sys.executable).resolve()
    if not interpreter.is_relative_to("/usr"):
        home = Path(sys.base_prefix).resolve()
        mounts[home] = "/opt/python"
        interpreter = Path("/opt/python") / interpreter.relative_to(home)
        environment["LD_LIBRARY_PATH"] = "/opt/python/lib"
    return mounts, str(interpreter), environment
