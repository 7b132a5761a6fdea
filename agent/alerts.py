"""Alerts are states, not events: they sound until acknowledged, resolved or escalated, and survive a restart.

An alert is named by its kind and its subject (an order, a printer). It sounds at once and every `repeat_s`; after
ESCALATE_S without a person it is escalated: it stays in the box's status, which the cloud shows and passes on, and
falls silent here. In the shop's quiet hours only faults sound. When nothing can make a sound, that is an alert itself
(`sound`), shown in the status.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from agent import clock
from agent.player import Player, SilentError
from agent.store import DiskBad, Store
from config.box import Alerts as Settings
from wire.messages import Clock

log = logging.getLogger("tillwire.agent")

ESCALATE_S = 600.0
CALM = ("new_order", "cancelled", "offline", "no_ack", "test")  # what quiet hours silence; all others are faults


class State(StrEnum):
    SOUNDING = "sounding"
    ACKNOWLEDGED = "acknowledged"
    ESCALATED = "escalated"


@dataclass(frozen=True, slots=True)
class Alert:
    kind: str  # new_order | waiting | unconfirmed | failed | held | printer | offline | no_ack | disk | sound | relay
    subject: str
    text: str  # for people: what, and what helps
    sound: str  # name of the sound; "" for an alert that is only shown
    say: str  # words behind it, with blanks (agent/voice.py)
    state: State
    boot: str
    mono_ms: int
    wall_ms: int

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.subject}" if self.subject else self.kind


class Alerts:
    """The alerts of this box. raise_, resolve and acknowledge may be called from anywhere in the loop."""

    def __init__(self, settings: Settings, store: Store, player: Player) -> None:
        self.settings, self.store, self.player = settings, store, player
        self.on_change: list[Callable[[], None]] = []
        self.counters = {"sounds": 0, "silent": 0}
        self._alerts: dict[tuple[str, str], Alert] = {}
        self._due: dict[tuple[str, str], float] = {}  # loop time of the next sound
        self._first: deque[Alert] = deque(maxlen=8)  # just raised: sounds once, even when it is resolved at once
        self._dirty: set[tuple[str, str]] = set()
        self._wake = asyncio.Event()

    def names(self) -> list[str]:
        """What stands in the status: "kind:subject (state) text"."""
        return [f"{a.name} ({a.state}) {a.text}" for a in sorted(self._alerts.values(), key=lambda a: a.name)]

    def get(self, kind: str, subject: str = "") -> Alert | None:
        return self._alerts.get((kind, subject))

    def any(self, state: State) -> bool:
        return any(alert.state is state for alert in self._alerts.values())

    def raise_(self, kind: str, subject: str, text: str, sound: str = "fault", say: Sequence[str] = ()) -> None:
        """Nothing happens where this alert stands already with the same text. `say`: words behind the sound."""
        key = (kind, subject)
        old = self._alerts.get(key)
        if old is not None and old.text == text:
            return
        now = clock.now()
        if old is not None:
            self._set(replace(old, text=text, sound=sound, say=" ".join(say)))
            return
        log.warning("alert=%s%s raised: %s", kind, f":{subject}" if subject else "", text)
        alert = Alert(kind, subject, text, sound, " ".join(say), State.SOUNDING, now.boot, now.mono_ms, now.wall_ms)
        self._due[key] = asyncio.get_running_loop().time() + self.settings.repeat_s
        self._first.append(alert)
        self._set(alert)

    def resolve(self, kind: str, subject: str = "") -> None:
        """The cause is gone."""
        key = (kind, subject)
        if self._alerts.pop(key, None) is None:
            return
        log.info("alert=%s%s resolved", kind, f":{subject}" if subject else "")
        self._dirty.add(key)
        self._changed()

    def acknowledge(self, name: str = "") -> int:
        """A person has heard: "kind:subject", or "" for all of them. -> how many fell silent."""
        count = 0
        for alert in list(self._alerts.values()):
            if name in ("", alert.name, alert.kind) and alert.state is State.SOUNDING:
                self._set(replace(alert, state=State.ACKNOWLEDGED))
                count += 1
        return count

    async def load(self) -> None:
        """What was sounding before the restart sounds again."""
        for row in await self.store.run(_all):
            alert = Alert(*row[:5], State(row[5]), *row[6:])
            if alert.boot != clock.boot():  # how old it is, nobody knows: its ten minutes begin again
                alert = replace(alert, boot=clock.boot(), mono_ms=clock.mono_ms())
            self._alerts[(alert.kind, alert.subject)] = alert
            self._due[(alert.kind, alert.subject)] = 0.0
        self._wake.set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._wake.clear()
            while self._first:
                await self._sound(self._first.popleft())
            if self._dirty:
                await self._save()
            now = loop.time()
            for key, alert in list(self._alerts.items()):
                if alert.state is not State.SOUNDING:
                    continue
                age = clock.age_s(alert.boot, alert.mono_ms)
                if age is not None and age > ESCALATE_S:
                    log.warning("alert=%s escalated after %.0f s", alert.name, age)
                    self._set(replace(alert, state=State.ESCALATED))
                elif self._due.get(key, 0.0) <= now:
                    self._due[key] = now + self.settings.repeat_s
                    await self._sound(replace(alert, sound="reminder") if alert.kind == "new_order" else alert)
            pauses = [self._due.get(k, 0.0) - loop.time() for k, a in self._alerts.items() if a.state is State.SOUNDING]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.05, min(pauses, default=60.0))):
                    await self._wake.wait()

    async def _sound(self, alert: Alert) -> None:
        if not self.settings.sound or not alert.sound or self.quiet(alert):
            return
        try:
            await self.player.play(alert.sound, alert.say.split())
        except SilentError as error:
            self.counters["silent"] += 1
            self.raise_("sound", "", f"no sound can be played: {error}", sound="")
        else:
            self.counters["sounds"] += 1
            self.resolve("sound")

    def quiet(self, alert: Alert) -> bool:
        """Is it one of the shop's quiet hours, and this one not to be heard in them?"""
        begins, _, ends = self.settings.quiet.partition("-")
        if not begins or (alert.kind not in CALM and not self.settings.quiet_faults):
            return False
        now = time.strftime("%H:%M")
        return begins <= now < ends if begins <= ends else now >= begins or now < ends

    async def daily_test(self) -> None:
        """Play the test sound once a day, so that a loudspeaker that is off is missed by somebody."""
        while True:
            now = time.localtime()
            hour, minute = map(int, self.settings.test_at.split(":"))
            left = (hour - now.tm_hour) * 3600 + (minute - now.tm_min) * 60 - now.tm_sec
            await asyncio.sleep(left if left > 0 else left + 86_400)
            now_clock = clock.now()
            text = "the daily test of the loudspeaker: did you hear it?"
            test = Alert("test", "", text, "test", "test", State.SOUNDING, *_when(now_clock))
            log.info("sound=test %s", text)
            await self._sound(test)
            await asyncio.sleep(60)

    def _set(self, alert: Alert) -> None:
        key = (alert.kind, alert.subject)
        self._alerts[key] = alert
        self._dirty.add(key)
        self._changed()

    def _changed(self) -> None:
        self._wake.set()
        for told in self.on_change:
            told()

    async def _save(self) -> None:
        dirty, self._dirty = self._dirty, set()
        now = {key: self._alerts.get(key) for key in dirty}

        def write(connection: sqlite3.Connection) -> None:
            for key, alert in now.items():
                connection.execute("DELETE FROM alerts WHERE kind = ? AND subject = ?", key)
                if alert is not None:
                    connection.execute(
                        "INSERT INTO alerts (kind, subject, text, sound, say, state, boot, mono_ms, wall_ms)"
                        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                        (
                            *key,
                            alert.text,
                            alert.sound,
                            alert.say,
                            alert.state,
                            alert.boot,
                            alert.mono_ms,
                            alert.wall_ms,
                        ),
                    )

        try:
            await self.store.run(write)
        except DiskBad as error:  # it sounds all the same; only a restart would forget it
            log.error("alerts cannot be kept: %s", error)


def _when(now: Clock) -> tuple[str, int, int]:
    return now.boot, now.mono_ms, now.wall_ms


def _all(connection: sqlite3.Connection) -> list[tuple[str, str, str, str, str, str, str, int, int]]:
    return connection.execute(
        "SELECT kind, subject, text, sound, say, state, boot, mono_ms, wall_ms FROM alerts"
    ).fetchall()
