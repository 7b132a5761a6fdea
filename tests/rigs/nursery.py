"""Programs that start in milliseconds: a parent has everything imported, and each start is a fork of it.

What runs is the program's own main() with its own arguments, log and process group; only the interpreter's start is
left out. So a campaign can afford thousands of kill -9.

    nursery = Nursery("relay"); process = nursery.start(["--config", …], log); process.kill()
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import traceback
from pathlib import Path

IMPORTS = {
    "relay": ("relay.__main__", "relay.box", "relay.journal", "drivers.tcp", "config.box"),
    "agent": ("agent.__main__", "agent.daemon", "paho.mqtt.client"),
    "cloud": ("cloud.__main__", "cloud.service", "cloud.web", "cloud.ingest", "cloud.dispatch"),
}
PR_SET_PDEATHSIG = 1


class Grown:
    """A process that was forked off. It and its children are killed together."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.nursery, self.pid = nursery, pid

    def kill(self, number: int = signal.SIGKILL) -> None:
        """-> when it is gone"""
        self.nursery.ask({"kill": self.pid, "signal": int(number)})

    def poll(self) -> int | None:
        """None while it runs."""
        ended = self.nursery.ask({"poll": self.pid})["ended"]
        return None if ended is None else int(ended)


class Nursery:
    def __init__(self, program: str) -> None:
        self.program = program
        self._parent = subprocess.Popen(
            [sys.executable, "-m", "tests.rigs.nursery", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip

    def start(self, arguments: list[str], log: Path, stdin: str = "") -> Grown:
        return Grown(self, int(self.ask({"start": arguments, "log": str(log), "stdin": stdin})["pid"]))

    def ask(self, request: dict[str, object]) -> dict[str, int | None]:
        assert self._parent.stdin is not None and self._parent.stdout is not None
        self._parent.stdin.write(json.dumps(request) + "\n")
        self._parent.stdin.flush()
        answer: dict[str, int | None] = json.loads(self._parent.stdout.readline())
        return answer

    def close(self) -> None:
        assert self._parent.stdin is not None
        self._parent.stdin.close()
        self._parent.wait(20)


def main(program: str) -> None:
    for name in IMPORTS[program]:
        importlib.import_module(name)
    ended: dict[int, int] = {}
    running: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict[str, int | None] = {}
        if "start" in request:
            pid = os.fork()
            if pid == 0:
                _live(program, request["start"], request["log"], request["stdin"])
            running.add(pid)
            answer["pid"] = pid
        elif "kill" in request:
            pid = request["kill"]
            if pid in running:
                _kill(pid, request["signal"])
                ended[pid] = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                running.discard(pid)
        else:
            pid = request["poll"]
            if pid in running and (found := os.waitpid(pid, os.WNOHANG))[0]:
                ended[pid] = os.waitstatus_to_exitcode(found[1])
                running.discard(pid)
            answer["ended"] = ended.get(pid)
        print(json.dumps(answer), flush=True)
    for pid in running:
        _kill(pid, signal.SIGKILL)


def _kill(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except ProcessLookupError:  # it has not come to its setsid yet
        os.kill(pid, number)


def _live(program: str, arguments: list[str], log: str, stdin: str) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    into, out = os.pipe()
    os.write(out, stdin.encode())
    os.close(out)
    for source, target in ((into, 0), (fd, 1), (fd, 2)):
        os.dup2(source, target)
    code = 1
    try:
        sys.argv = [program, *arguments]
        code = int(importlib.import_module(f"{program}.__main__").main() or 0)
    except SystemExit as error:
        code = int(error.code or 0) if isinstance(error.code, int) or error.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1])
