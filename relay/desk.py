"""What the agent may ask of the relay, one method for each request of the control socket."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from relay import allowed
from relay.control import JOBS_AT_ONCE, Header, Problem, Reply
from relay.fates import Fate, NotNow
from relay.store import Store

if TYPE_CHECKING:
    from relay.box import Relay

VERSION = "0.1.0"
JOBS_MOST = 200
VALID_MOST_S = 86_400.0


class Desk:
    def __init__(self, relay: Relay) -> None:
        self.relay = relay

    def serve(self, header: Header, body: bytes, part: Reply, reply: Reply) -> None:
        serve = getattr(self, "_" + header["op"], None)
        if serve is None:
            raise Problem(f"no such request: {header['op']}", "hello jobs replace release print withdraw fates status probe buzz new_epoch")  # fmt: skip  # noqa: E501
        serve(header, body, part, reply)

    # ------------------------------------------------------------------ captured jobs

    def _hello(self, header: Header, body: bytes, part: Reply, reply: Reply) -> None:
        def facts(store: Store) -> Header:
            return store.facts()

        self._read(facts, lambda found: reply(found | {"version": VERSION} | self.relay.status(), b""), reply)

    def _jobs(self, header: Header, body: bytes, part: Reply, reply: Reply) -> None:
        keys = header.get("keys")
        limit = min(int(header.get("limit") or 20), JOBS_MOST)
        sent = 0

        if keys is not None:

            def some(found: list[tuple[Header, bytes]]) -> None:
                for job, raw in found:
                    part(job, raw)
                reply({"count": len(found), "more": False}, b"")

            wanted = [_key(key) for key in keys[:JOBS_MOST]]
            self._read(lambda store: store.some(wanted), some, reply)
            return

        def page(after: list[Any] | None) -> None:
            self._read(lambda store: store.due(after, limit - sent, JOBS_AT_ONCE), found, reply)

        def found(result: tuple[list[tuple[Header, bytes]], bool]) -> None:
            nonlocal sent
            rows, more = result
            last = None
            for job, raw in rows:
                part(job, raw)
                last = job["job"]["key"] if "job" in job else [job["tomb"]["epoch"], job["tomb"]["first"]]
            sent += len(rows)
            if more and rows and sent < limit:
                page(last)
            else:
                reply({"count": sent, "more": more}, b"")

        page(_key(header["after"]) if header.get("after") else None)

    def _replace(self, header: Header, body: bytes, part: Reply, reply: Reply) -> None:
        key, sha256 = _key(header["key"]), str(header["sha256_raw"])

        def done(result: tuple[list[Any], str]) -> None:
            reply({"key": result[0], "sha256": result[1]}, b"")

        self._write(lambda store: store.replace(key, sha256, body), done, reply)

    def _release(self, header: Header, body: bytes, part: Reply, reply: Reply) -> None:
        jobs = [[*_key(job[:2]), str(job[2])] for job in header["jobs"]]

        def done(result: tuple[int, list[Header]]) -> None:
            self.relay.expire_soon()
            reply({"released": result[0], "refused": result[1]}, b"")

        self._write(lambda store: store.release(jobs), done, reply)

    def _new_epoch(self, header: Header, body: bytes, part: Reply, reply: Reply) -> None:
        self._write(lambda store: store.new_epoch(), lambda epoch: reply({"epoch": epoch}, b""), reply)

    # ------------------------------------------------------------------ slips

    def _print(self, header: Header, body: bytes, part: Reply, reply: Reply) -> None:
        slip, attempt, copy = str(header["slip"]), int(header["attempt"]), int(header.get("copy") or 0)
        name = str(header.get("printer") or "") or next(iter(self.relay.printers))
        if name not in self.relay.printers:
            raise Problem(f"no printer is called {name!r}", f"there are: {', '.join(self.relay.printers)}")
        if not 0 < len(slip) <= 200:
            raise Problem("a slip's name has 1 to 200 characters", "ORDER/PART/COPYNUMBER")
        valid_s = min(max(float(header.get("valid_s", 600)), 0.0), VALID_MOST_S)
        wrong = allowed.problem(body)

        def done(result: tuple[Fate, dict[str, Any] | None]) -> None:
            fate, queued = result
            reply({"fate": fate}, b"")
            if queued is not None:
                self.relay.tell_fate(fate)
                self.relay.slips[name].add(queued)

        def intend(store: Store) -> tuple[Fate, dict[str, Any] | None]:
            known = store.fates.find(slip, attempt)
            if known is not None:
                return known, None
            if wrong:
                raise NotNow(f"this is no slip: {wrong}", "a slip holds text, its style, codes, pictures and one cut")
            return store.fates.intend(slip, attempt, name, copy, valid_s, body)

        self._write(intend, done, reply)

    def _withdraw(self, header: Header, body: bytes, part: Reply, reply: Reply) -> None:
        slip, attempt = str(header["slip"]), int(header["attempt"])
        if any(slips.is_started(slip, attempt) for slips in self.relay.slips.values()):
            reply({"result": "too_late"}, b"")
            return
        for slips in self.relay.slips.values():
            slips.remove(slip, attempt)

        def done(result: tuple[str, Fate | None]) -> None:
            if result[1] is not None:
                self.relay.tell_fate(result[1])
            reply({"result": result[0]}, b"")

        self._write(lambda store: store.fates.withdraw(slip, attempt), done, reply)

    def _fates(self, header: Header, body: bytes, part: Reply, reply: Reply) -> None:
        after = int(header.get("after") or 0)

        def done(fates: list[Fate]) -> None:
            reply({"fates": fates, "last": fates[-1]["id"] if fates else after}, b"")

        self._read(lambda store: store.fates.after(after), done, reply)

    # ------------------------------------------------------------------ printers

    def _status(self, header: Header, body: bytes, part: Reply, reply: Reply) -> None:
        if header.get("ask"):
            self.relay.ask_printers(lambda: reply(self.relay.status(), b""))
        else:
            reply(self.relay.status(), b"")

    def _probe(self, header: Header, body: bytes, part: Reply, reply: Reply) -> None:
        self.relay.probe(str(header.get("url") or ""), lambda found: reply({"devices": found}, b""))

    def _buzz(self, header: Header, body: bytes, part: Reply, reply: Reply) -> None:
        name = str(header.get("printer") or "") or next(iter(self.relay.printers))
        printer = self.relay.printers.get(name)
        if printer is None:
            raise Problem(f"no printer is called {name!r}", f"there are: {', '.join(self.relay.printers)}")
        if not printer.model.buzzer:
            raise Problem(f"printer {name} has no buzzer that we know of", "set its model, or `buzzer` in its file")
        if not self.relay.slips[name].between_jobs(bytes.fromhex(printer.model.buzzer)):
            raise Problem(f"printer {name} is printing, or cannot be reached", "ask again")
        reply({}, b"")

    # ------------------------------------------------------------------ the journal

    def _read(self, work: Callable[[Store], Any], done: Callable[[Any], None], reply: Reply) -> None:
        self.relay.journal.read(work, done, lambda error: _failed(error, reply))

    def _write(self, work: Callable[[Store], Any], done: Callable[[Any], None], reply: Reply) -> None:
        self.relay.journal.do(work, done, lambda error: _failed(error, reply))


def _failed(error: Exception, reply: Reply) -> None:
    if isinstance(error, NotNow):
        reply({"error": {"problem": error.problem, "hint": error.hint}}, b"")
    elif isinstance(error, (sqlite3.Error, OSError)):
        reply({"error": {"problem": f"the journal fails: {error}", "hint": "is the disk full, or dying?"}}, b"")
    else:
        reply({"error": {"problem": str(error), "hint": ""}}, b"")


def _key(key: Any) -> list[Any]:
    epoch, seq = key
    if not isinstance(epoch, str) or type(seq) is not int or not 0 <= seq < 1 << 40:
        raise ValueError("a key is [epoch, seq]")
    return [epoch, seq]
