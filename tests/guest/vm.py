"""A virtual machine to pull the plug of: boot it, run commands in it, copy in and out, cut its power, boot it again.

    with Guest() as guest:              # boots; its disk is a copy of its own, kept over power cuts
        print(guest.run("uname -r"))    # output, errors among it; raises GuestFailed when the command fails
        guest.put("/etc/x", b"...")
        guest.cut_power()               # nothing is flushed, nobody is told
        guest.boot()

The project, with the Python packages that the box needs, is at /opt/tillwire, read-only, as it would be on a board.

What a power cut means here: the guest's kernel and all that it had not written are gone; what it had handed to its disk
is there, also without a flush. So an fsync that is missing is caught, a disk that lies about flushing is not played.

Software emulation works everywhere and is slow (boot 20 to 100 s); KVM is tried first where there is one, once, and
left where a stock kernel does not come up under it (`TILLWIRE_KVM=0` does not try).
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.guest import image

BOOT_S = 900  # software emulation on a busy machine
KVM_BOOT_S = 30
KERNEL_LINE = "root=/dev/vda rw console=ttyS0 quiet panic=-1 mitigations=off net.ifnames=0 systemd.show_status=no"
PACKAGES = ("agent", "config", "drivers", "receipt", "relay", "wire", "tests", "systemd")
SITE = (  # what the box and its tests import, and nothing of the cloud
    "usb", "serial", "msgspec", "paho", "_pytest", "pytest", "pluggy", "iniconfig", "packaging", "hypothesis",
    "sortedcontainers", "pygments", "py.py", "_hypothesis_pytestplugin.py", "_hypothesis_globals.py",
    "pytest_timeout.py",
)  # fmt: skip
PROGRAM = "#!/usr/bin/python3\nimport sys\nfrom {module} import main\nsys.exit(main())\n"
PROGRAMS = {
    "tillwire-relay": "relay.__main__",
    "tillwire-agent": "agent.__main__",
    "tillwire-gadget": "drivers.printer_class.set_up",
}


class GuestFailed(AssertionError):
    """A command failed in the guest, or the guest does not answer. Says what it wrote."""


class Guest:
    def __init__(self, *, memory_mb: int = 1024, more: list[str] | None = None) -> None:
        """`more`: further options for QEMU, such as a sound card."""
        self.folder = Path(tempfile.mkdtemp(prefix="tillwire-guest-"))
        self.console = self.folder / "console.log"
        self.boot_s = 0.0
        self._memory_mb, self._more = memory_mb, more or []
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None
        self._buffer = b""
        parts = image.build()
        self._kernel, self._initrd = parts / "vmlinuz", parts / "initrd.img"
        subprocess.run(
            ["cp", "--reflink=auto", "--sparse=always", parts / "root.ext4", self.folder / "root.ext4"], check=True
        )
        _project(self.folder)

    def __enter__(self) -> Guest:
        self.boot()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------ power

    def boot(self) -> float:
        """Until it takes commands. -> how long that took, in seconds."""
        began = time.monotonic()
        if _kvm.worth_trying():
            self._start("kvm")
            if self._ready(KVM_BOOT_S):
                _kvm.works()
            else:
                _kvm.is_useless()
                self.cut_power()
        if self._process is None:
            self._start("tcg,thread=multi")
            if not self._ready(BOOT_S):
                raise GuestFailed(f"the guest does not come up within {BOOT_S} s:\n{self._last_words()}")
        self.boot_s = time.monotonic() - began
        self.run("mountpoint -q /opt/tillwire || mount /opt/tillwire")
        return self.boot_s

    def cut_power(self) -> None:
        """As if the plug were pulled."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._socket is not None:
            self._socket.close()
            self._socket, self._buffer = None, b""

    def power_off(self) -> None:
        """As its owner would: services end, disks are written."""
        self.run("systemctl --no-block poweroff")
        if self._process is not None:
            self._process.wait(120)
        self.cut_power()

    def close(self) -> None:
        self.cut_power()
        shutil.rmtree(self.folder, ignore_errors=True)

    # ------------------------------------------------------------------ in and out

    def run(self, command: str, *, limit_s: float = 600, check: bool = True) -> str:
        """By sh, as root. -> what it wrote, errors among it."""
        answer, output = self._ask({"op": "run", "command": command, "limit_s": limit_s}, within=limit_s + 60)
        text = output.decode(errors="replace")
        if check and answer["code"] != 0:
            raise GuestFailed(f"{command!r} in the guest: {answer.get('error') or answer['code']}\n{text}")
        return text

    def put(self, path: str, data: bytes, mode: int = 0o644) -> None:
        answer, _ = self._ask({"op": "put", "path": path, "bytes": len(data), "mode": mode}, data)
        if answer["code"] != 0:
            raise GuestFailed(f"put {path}: {answer['error']}")

    def get(self, path: str) -> bytes:
        answer, data = self._ask({"op": "get", "path": path})
        if answer["code"] != 0:
            raise GuestFailed(f"get {path}: {answer['error']}")
        return data

    def python(self, program: str, *, limit_s: float = 600) -> str:
        """A program with the project's packages in reach. -> what it wrote."""
        self.put("/run/program.py", program.encode())
        return self.run("cd /opt/tillwire && PYTHONPATH=.:site python3 -u /run/program.py", limit_s=limit_s)

    def install(self, config: str) -> None:
        """As on a board: users, folders, udev rules, units, and this agent.toml. Nothing is started."""
        self.put("/etc/tillwire/agent.toml", config.encode())
        self.run(
            "cd /opt/tillwire/systemd && systemd-sysusers $PWD/tillwire.sysusers"
            " && systemd-tmpfiles --create $PWD/tillwire.tmpfiles"
            " && cp *.service /etc/systemd/system/ && cp tillwire.rules /etc/udev/rules.d/70-tillwire.rules"
            " && chgrp -R tillwire /etc/tillwire && chmod 0640 /etc/tillwire/agent.toml"
            " && udevadm control --reload && systemctl daemon-reload && sync"
        )

    # ------------------------------------------------------------------ inside

    def _start(self, accelerator: str) -> None:
        path = self.folder / "channel"
        path.unlink(missing_ok=True)
        with self.console.open("ab") as console:
            self._process = subprocess.Popen(
                [
                    "qemu-system-x86_64", "-accel", accelerator, "-cpu", "max", "-smp", "2", "-m", str(self._memory_mb),
                    "-nodefaults", "-nographic", "-no-reboot",
                    "-kernel", str(self._kernel), "-initrd", str(self._initrd), "-append", KERNEL_LINE,
                    "-drive", f"file={self.folder}/root.ext4,format=raw,if=virtio",
                    "-drive", f"file={self.folder}/project.ext4,format=raw,if=virtio,read-only=on",
                    "-chardev", f"socket,id=channel,path={path},server=on,wait=off",
                    "-device", "virtio-serial", "-device", "virtserialport,chardev=channel,name=tillwire",
                    "-serial", "stdio", *self._more,
                ],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
            )  # fmt: skip

    def _ready(self, within: float) -> bool:
        end = time.monotonic() + within
        path = str(self.folder / "channel")
        while self._socket is None:
            if self._process is None or self._process.poll() is not None or time.monotonic() > end:
                return False
            try:
                sock = socket.socket(socket.AF_UNIX)
                sock.connect(path)
                self._socket = sock
            except OSError:
                sock.close()
                time.sleep(0.05)
        try:
            return bool(json.loads(self._line(end)).get("ready"))
        except GuestFailed:
            return False

    def _ask(self, request: dict[str, Any], data: bytes = b"", within: float = 600) -> tuple[dict[str, Any], bytes]:
        if self._socket is None:
            raise GuestFailed("the guest is off")
        end = time.monotonic() + within
        self._socket.settimeout(within)
        self._socket.sendall(json.dumps(request).encode() + b"\n" + data)
        answer = json.loads(self._line(end))
        size = answer.get("bytes", 0)
        while len(self._buffer) < size:
            self._more_bytes(end)
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        return answer, body

    def _line(self, end: float) -> bytes:
        while b"\n" not in self._buffer:
            self._more_bytes(end)
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def _more_bytes(self, end: float) -> None:
        assert self._socket is not None
        self._socket.settimeout(max(end - time.monotonic(), 0.01))
        try:
            data = self._socket.recv(1 << 20)
        except TimeoutError:
            raise GuestFailed(f"the guest does not answer:\n{self._last_words()}") from None
        if not data:
            raise GuestFailed(f"the guest is gone:\n{self._last_words()}")
        self._buffer += data

    def _last_words(self) -> str:
        return self.console.read_text(errors="replace")[-2000:]


class _Kvm:
    """Whether KVM is of use here is found out once, and noted beside the image."""

    def __init__(self) -> None:
        self._note = image.FOLDER / "kvm"

    def worth_trying(self) -> bool:
        if os.environ.get("TILLWIRE_KVM") == "0" or not os.access("/dev/kvm", os.R_OK | os.W_OK):
            return False
        return not (self._note.exists() and self._note.read_text() == self._says("useless"))

    def works(self) -> None:
        self._note.write_text(self._says("works"))

    def is_useless(self) -> None:
        self._note.write_text(self._says("useless"))

    def _says(self, what: str) -> str:
        return f"{what} {os.uname().release}"


_kvm = _Kvm()


def _project(folder: Path) -> None:
    """A disk with the project and its packages, as on a board: code, programs, units."""
    tree = folder / "project"
    leave = shutil.ignore_patterns("__pycache__", "*.pyc", "samples")
    for name in PACKAGES:
        shutil.copytree(image.ROOT / name, tree / name, ignore=leave)
    site = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    (tree / "site").mkdir()
    for name in SITE:
        for source in [site / name, *site.glob(f"{name.split('.')[0]}-*.dist-info")]:
            if source.is_dir():
                shutil.copytree(source, tree / "site" / source.name, ignore=leave)
            elif source.exists():
                shutil.copyfile(source, tree / "site" / source.name)
    shutil.copyfile(image.ROOT / "setup.cfg", tree / "setup.cfg")
    (tree / "bin").mkdir()
    for name, module in PROGRAMS.items():
        program = tree / "bin" / name
        lines = PROGRAM.format(module=module).split("\n")
        lines.insert(2, "sys.path[:0] = ['/opt/tillwire', '/opt/tillwire/site']")
        program.write_text("\n".join(lines))
        program.chmod(0o755)
    (tree / "current").symlink_to(".")  # where an installed box has the version in use
    size = sum(path.stat().st_size + 4096 for path in tree.rglob("*"))
    image.make_disk(tree, folder / "project.ext4", f"{size * 5 // 4 // (1 << 20) + 16}M")
    shutil.rmtree(tree)
