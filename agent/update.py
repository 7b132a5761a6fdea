"""Updates that the cloud asks for: fetched piece by piece, checked, and handed to root at a good time.

The agent may not touch what it is made of. It lays the release into `state_dir`/update and, within the hours that
[update] names and while no printer is busy, a file `go` beside it. systemd (tillwire-update.path) then starts
`tillwire-switch apply` as root, which checks the signature, switches, watches for a minute, goes back by itself; what
came of it stands in /opt/tillwire/result. Whichever release runs then tells the cloud, as the result of the command.

What is wanted is in update/wanted.json, so that a power cut at any moment is only a pause.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent import clock
from agent.door import Door, Refused, RelayGone
from agent.fetch import Gone, fetch, sha256_of
from agent.store import DiskBad
from agent.supervise import Backoff
from agent.uplink import Uplink
from config.box import LOOPBACK, Box, within
from wire import messages
from wire.messages import Command, Result, Trust

log = logging.getLogger("tillwire.agent")

TOP = Path("/opt/tillwire")
QUIET_S = 5.0  # nothing printed for so long
LOOK_S = 2.0
ANSWER_S = 900.0  # root waits for a quiet moment, watches for a minute, and may go back
TRIES = 3
CLOCK_S = 900  # so far apart, the box's clock and the cloud's are the same to hours
GIVE_UP_S = 7 * 86_400


@dataclass(frozen=True, slots=True)
class Wanted:
    command: str  # id of the command, whose result the cloud waits for
    url: str
    sha256: str
    version: str
    since: float  # s since 1970, by this box's clock
    asked: int = 0  # how often root was asked
    told_before: str = ""  # what stood in `result` then
    boot: str = ""  # in which the box's clock was that of the cloud


class Updates:
    """`ask` takes a command, `run` does the rest; `text` is what the status message says of it."""

    def __init__(self, box: Box, door: Door, uplink: Uplink) -> None:
        self.box, self.door, self.uplink, self.version = box, door, uplink, running()
        self.folder = Path(box.box.state_dir, "update")
        self.top = Path(os.environ.get("TILLWIRE_TOP", TOP))
        self.text = ""
        self.on_change: list[Callable[[], None]] = []
        self._wanted: Wanted | None = None
        self._new = asyncio.Event()

    async def ask(self, order: Command) -> Result | None:
        """args = {url, sha256, version} -> None: its result comes when it is over; or what is wrong with it."""
        url, sha256, wish = (str(order.args.get(name) or "") for name in ("url", "sha256", "version"))
        command = order.id
        parts = urlsplit(url)
        if len(sha256) != 64 or not wish or not parts.hostname or parts.scheme not in ("https", "http"):
            return self._result(command, False, "update needs url (https://), sha256 and version")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK and not self.box.cloud.insecure:
            return self._result(command, False, f"{url}: an update is fetched over https://")
        if wish == self.version:
            return self._result(command, True, f"{wish} runs already")
        if not self.box.update.window:
            return self._result(command, False, "[update] window is empty: this box is updated by hand")
        if self._wanted and self._wanted.asked:
            return self._result(command, False, f"an update to {self._wanted.version} is just being installed")
        if self._wanted:
            await self._over(False, f"another update came: {wish}")
        boot = clock.boot() if abs(time.time() - order.at / 1000) < CLOCK_S else ""
        self._keep(Wanted(command, url, sha256.lower(), wish, time.time(), boot=boot))
        self._new.set()
        return None

    async def run(self) -> None:
        self._load()
        backoff = Backoff(5.0, 600.0)
        while True:
            if self._wanted is None:
                self._say("")
                self._new.clear()
                await self._new.wait()
                backoff.reset()
            try:
                await self._go_on()
                backoff.reset()
            except Gone as error:
                await self._over(False, str(error))
            except (OSError, DiskBad) as error:
                log.warning("update=%s waits: %s", self._wanted and self._wanted.version, error)
                if self._wanted and abs(time.time() - self._wanted.since) > GIVE_UP_S:
                    await self._over(False, f"given up after a week: {error}")
                    continue
                self._say(f"{self._wanted.version} waits: {error}" if self._wanted else "")
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(backoff.next()):
                        await self._new.wait()
                self._new.clear()

    async def _go_on(self) -> None:
        """One step further. Raises Gone where it can never be, OSError where it may be later."""
        wanted = self._wanted
        if wanted is None:
            return
        if wanted.asked:
            await self._answered(wanted)
            return
        if not (self.folder / "release.tar.gz.sig").exists():
            self._say(f"{wanted.version} is being fetched")
            await self._fetch(wanted)
        await self._good_time(wanted)
        self._say(f"{wanted.version} is being installed")
        self._keep(replace(wanted, asked=wanted.asked + 1, told_before=self._told()))
        (self.folder / "go").touch()
        log.info("update=%s asked=%d", wanted.version, wanted.asked + 1)

    async def _fetch(self, wanted: Wanted) -> None:
        file = self.folder / "release.tar.gz"
        stop = threading.Event()
        try:
            if not file.exists():
                await asyncio.to_thread(fetch, wanted.url, file, stop, self.box.cloud.ca_file)
            if await asyncio.to_thread(sha256_of, file) != wanted.sha256:
                file.unlink()
                raise Gone(f"what {wanted.url} gave is not what was announced: its sha256 differs")
            await asyncio.to_thread(
                fetch, wanted.url + ".sig", self.folder / "release.tar.gz.sig", stop, self.box.cloud.ca_file
            )
        finally:
            stop.set()
        log.info("update=%s fetched bytes=%d", wanted.version, file.stat().st_size)

    async def _good_time(self, wanted: Wanted) -> None:
        """Until it is one: in the hours for it, and nothing has been printed for some seconds."""
        while True:
            if clock.trust() is Trust.NONE and wanted.boot != clock.boot():
                self._say(f"{wanted.version} waits until the clock is right")
            elif not within(self.box.update.window, time.localtime()):
                self._say(f"{wanted.version} waits for {self.box.update.window}")
            elif await self._quiet():
                return
            else:
                self._say(f"{wanted.version} waits until nothing prints")
            await asyncio.sleep(LOOK_S)

    async def _quiet(self) -> bool:
        """For QUIET_S, no printer had anything to do, and no job was captured."""
        loop = asyncio.get_running_loop()
        end, seen = loop.time() + QUIET_S, None
        while True:
            try:
                status = await self.door.ask("status")
            except (RelayGone, Refused):
                return False
            now = [int(p.get("counters", {}).get("bytes_out", 0)) for p in status["printers"].values()]
            if is_busy(status) or (seen is not None and now != seen):
                return False
            if loop.time() >= end:
                return True
            seen = now
            await asyncio.sleep(QUIET_S / 5)

    async def _answered(self, wanted: Wanted) -> None:
        """Until root has told what came of it; asks again where nobody answers."""
        self._say(f"{wanted.version} is being installed")
        end = asyncio.get_running_loop().time() + ANSWER_S
        while asyncio.get_running_loop().time() < end:
            told = self._told()
            if told != wanted.told_before:
                _, _, rest = told.partition(" ")  # the time it was written
                _, _, what = rest.partition(" ")  # the version
                word, _, why = what.partition(" ")  # runs, back or refused
                await self._over(word == "runs", f"{wanted.version} runs" if word == "runs" else why)
                return
            await asyncio.sleep(LOOK_S / 2)
        if wanted.asked >= TRIES:
            raise Gone("nobody installs it: look at `systemctl status tillwire-update.path tillwire-update`")
        self._keep(replace(wanted, asked=0))

    def _told(self) -> str:
        """`result` of the switch, with the time it was written before it; "" where there is none."""
        path = self.top / "result"
        try:
            return f"{path.stat().st_mtime_ns} {path.read_text(encoding='utf-8').strip()[:500]}"
        except OSError:
            return ""

    async def _over(self, ok: bool, text: str) -> None:
        wanted = self._wanted
        if wanted is None:
            return
        log.log(logging.INFO if ok else logging.ERROR, "update=%s ok=%s %s", wanted.version, ok, text)
        await self.uplink.report(self._result(wanted.command, ok, text), "results")
        shutil.rmtree(self.folder, ignore_errors=True)
        self._wanted = None
        self._say("" if ok else f"{wanted.version} was not installed: {text}")

    def _result(self, command: str, ok: bool, text: str) -> Result:
        return messages.new(Result, command=command, ok=ok, text=text, data={"version": self.version})

    def _say(self, text: str) -> None:
        if text != self.text and (text or not self.text.count(" was not installed")):
            self.text = text
            for call in self.on_change:
                call()

    def _load(self) -> None:
        try:
            self._wanted = Wanted(**json.loads((self.folder / "wanted.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            self._wanted = None
        except (OSError, ValueError, TypeError) as error:
            log.error("update: %s cannot be read, and is forgotten: %s", self.folder / "wanted.json", error)
            shutil.rmtree(self.folder, ignore_errors=True)

    def _keep(self, wanted: Wanted) -> None:
        self.folder.mkdir(mode=0o750, exist_ok=True)
        fresh = self.folder / "wanted.new"
        with fresh.open("w", encoding="utf-8") as out:
            json.dump(asdict(wanted), out)
            out.flush()
            os.fsync(out.fileno())
        fresh.replace(self.folder / "wanted.json")
        self._wanted = wanted


def is_busy(status: dict[str, Any]) -> bool:
    """The relay's status -> does any printer have a turn, or bytes that it has not taken?"""
    return any(p.get("busy") or p.get("unwritten") for p in status["printers"].values())


def running() -> str:
    """The version of this program; "" where it was not installed."""
    try:
        return version("tillwire")
    except PackageNotFoundError:
        return ""
