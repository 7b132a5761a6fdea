"""A fresh Debian with systemd as its first process, in a container: what a technician installs the package on.

Needs root, systemd-nspawn and mmdebstrap. The container has a network of its own, with nothing in it but loopback;
what is started inside `with container.network():` stands in that network, though it runs here.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

OUT = Path(__file__).parents[2] / "out" / "board"
# What Raspberry Pi OS Lite has as well, and the package's own Depends: the container reaches no archive.
PACKAGES = "systemd-sysv,dbus,udev,procps,python3,libusb-1.0-0,openssl,"
SOUND = {"bookworm": "libasound2", "trixie": "libasound2t64"}
CLONE_NEWNET = 0x40000000


def missing() -> str:
    """Why no container can run here; "" where one can."""
    if os.geteuid():
        return "needs root"
    gone = [tool for tool in ("systemd-nspawn", "mmdebstrap", "nsenter") if not shutil.which(tool)]
    return f"needs {', '.join(gone)}" if gone else ""


def base(suite: str) -> Path:
    """A tree of that Debian as a file, made once (about two minutes)."""
    path = OUT / f"install-{suite}.tar"
    if not path.exists():
        OUT.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        subprocess.run(
            ["mmdebstrap", "--quiet", "--format=tar", "--variant=minbase", '--aptopt=APT::Install-Recommends "false"',
             f"--include={PACKAGES}{SOUND[suite]}", suite, str(fresh)],
            check=True, timeout=1800,
        )  # fmt: skip
        fresh.rename(path)
    return path


class Container:
    """Boots at once; `close` powers it off the hard way."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.boots = 0
        self._nspawn: subprocess.Popen[bytes] | None = None
        self.leader = 0

    def unpack(self, suite: str) -> Container:
        self.tree.mkdir(parents=True)
        subprocess.run(["tar", "-C", self.tree, "-xf", base(suite)], check=True, timeout=300)
        (self.tree / "etc/machine-id").write_text("")
        return self

    def boot(self) -> Container:
        self.boots += 1
        log = open(self.tree.parent / f"console-{self.boots}.log", "wb")  # noqa: SIM115 # the child's
        self._nspawn = subprocess.Popen(
            ["systemd-nspawn", "--register=no", "--keep-unit", "--quiet", "--directory", self.tree, "--boot",
             "--private-network", "--kill-signal=SIGKILL"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        self.leader = self._find_leader()
        self.wait("systemctl is-system-running", lambda text: text.strip() in ("running", "degraded"))
        return self

    def _find_leader(self) -> int:
        assert self._nspawn is not None
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            for child in children.read_text().split():
                with suppress(OSError):  # gone again
                    if Path(f"/proc/{child}/ns/net").readlink() != Path("/proc/self/ns/net").readlink():
                        return int(child)
            if self._nspawn.poll() is not None:
                break
            time.sleep(0.05)
        raise RuntimeError(f"the container did not start: {self.console()[-2000:]}")

    def console(self) -> str:
        return (self.tree.parent / f"console-{self.boots}.log").read_text(errors="replace")

    def run(self, command: str, *, check: bool = True, timeout: float = 120, user: str = "") -> str:
        """A shell command inside; its output, both kinds. AssertionError with it where it fails."""
        enter = ["nsenter", "--target", str(self.leader), "--all", "--"]
        if user:
            enter += ["runuser", "-u", user, "--"]
        done = subprocess.run(
            [*enter, "/bin/sh", "-c", command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
        )  # fmt: skip
        if check and done.returncode:
            log = self.run("journalctl --no-pager -n 60 -o cat", check=False)
            raise AssertionError(f"{command}: exit {done.returncode}\n{done.stdout}\n{log}")
        return done.stdout

    def wait(self, command: str, until, within: float = 90) -> str:  # type: ignore[no-untyped-def]
        end = time.monotonic() + within
        while True:
            text = self.run(command, check=False)
            if until(text):
                return text
            if time.monotonic() > end:
                raise TimeoutError(f"not within {within:g} s: {command}: {text}")
            time.sleep(0.1)

    @contextmanager
    def network(self) -> Iterator[None]:
        """Sockets and processes that are made here belong to the container's network."""
        libc = ctypes.CDLL(None, use_errno=True)
        with open("/proc/self/ns/net", "rb") as home, open(f"/proc/{self.leader}/ns/net", "rb") as there:
            assert libc.setns(there.fileno(), CLONE_NEWNET) == 0
            try:
                yield
            finally:
                assert libc.setns(home.fileno(), CLONE_NEWNET) == 0

    def power_cut(self) -> None:
        """Everything inside dies at once."""
        if self._nspawn is None:
            return
        if self.leader:
            os.kill(self.leader, signal.SIGKILL)
        self._nspawn.kill()
        self._nspawn.wait(60)
        self._nspawn, self.leader = None, 0

    close = power_cut
