"""What the agent may ask of the relay, one method for each request of the control socket."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from relay import allowed, listing
from relay.control import JOBS_AT_ONCE, Answer, Header, Problem
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

    def serve(self, header: Header, body: bytes, answer: Answer) -> None:
        serve = getattr(self, "_" + header["op"], None)
        if serve is None:
            raise Problem(f"no such request: {header['op']}", "hello jobs replace release print withdraw fates status probe buzz new_epoch")  # fmt: skip  # noqa: E501
        serve(header, body, answer)

    # ------------------------------------------------------------------ captured jobs

    def _hello(self, header: Header, body: bytes, answer: Answer) -> None:
        def facts(store: Store) -> Header:
            return store.facts()

        self._read(facts, lambda found: answer.reply(found | {"version": VERSION} | self.relay.status()), answer)

    def _jobs(self, header: Header, body: bytes, answer: Answer) -> None:
        keys = header.get("keys")
        limit = min(int(header.get("limit") or 20), JOBS_MOST)
        sent = 0

        if keys is not None:

            def some(found: list[tuple[Header, bytes]]) -> None:
                for job, raw in found:
                    answer.part(job, raw)
                answer.reply({"count": len(found), "more": False})

            wanted = [_key(key) for key in keys[:JOBS_MOST]]
            self._read(lambda store: listing.some(store, wanted), some, answer)
            return

        def page(after: list[Any] | None) -> None:
            self._read(lambda store: listing.due(store, after, limit - sent, JOBS_AT_ONCE), found, answer)

        def found(result: tuple[list[tuple[Header, bytes]], bool]) -> None:
            nonlocal sent
            rows, more = result
            last = None
            for job, raw in rows:
                answer.part(job, raw)
                last = job["job"]["key"] if "job" in job else [job["tomb"]["epoch"], job["tomb"]["first"]]
            sent += len(rows)
            if more and rows and sent < limit:
                answer.drained(lambda: page(last))
            else:
                answer.reply({"count": sent, "more": more})

        page(_key(header["after"]) if header.get("after") else None)

    def _replace(self, header: Header, body: bytes, answer: Answer) -> None:
        if "jobs" in header:
            self._replace_many(header, body, answer)
            return
        key, sha256 = _key(header["key"]), str(header["sha256_raw"])

        def done(result: tuple[list[Any], str]) -> None:
            answer.reply({"key": result[0], "sha256": result[1]})

        self._write(lambda store: store.replace(key, sha256, body), done, answer)

    def _replace_many(self, header: Header, body: bytes, answer: Answer) -> None:
        """`jobs`: [epoch, seq, sha256_raw, bytes] each; the body is their masked forms, one behind the other."""
        jobs, at = [], 0
        for epoch, seq, sha256, size in header["jobs"]:
            if type(size) is not int or not 0 <= size <= len(body) - at:
                raise ValueError("the body is shorter than its jobs")
            jobs.append((_key([epoch, seq]), str(sha256), body[at : at + size]))
            at += size

        def work(store: Store) -> list[Header]:
            refused = []
            for key, sha256, form in jobs:
                try:
                    store.replace(key, sha256, form)
                except ValueError as error:
                    refused.append({"key": key, "problem": str(error)})
            return refused

        self._write(
            work, lambda refused: answer.reply({"replaced": len(jobs) - len(refused), "refused": refused}), answer
        )

    def _release(self, header: Header, body: bytes, answer: Answer) -> None:
        jobs = [[*_key(job[:2]), str(job[2])] for job in header["jobs"]]

        def done(result: tuple[int, list[Header]]) -> None:
            self.relay.expire_soon()
            answer.reply({"released": result[0], "refused": result[1]})

        self._write(lambda store: store.release(jobs), done, answer)

    def _new_epoch(self, header: Header, body: bytes, answer: Answer) -> None:
        self._write(lambda store: store.new_epoch(), lambda epoch: answer.reply({"epoch": epoch}), answer)

    # ------------------------------------------------------------------ slips

    def _print(self, header: Header, body: bytes, answer: Answer) -> None:
        slip, attempt, copy = str(header["slip"]), int(header["attempt"]), int(header.get("copy") or 0)
        name = str(header.get("printer") or "") or next(iter(self.relay.printers))
        if name not in self.relay.printers:
            raise Problem(f"no printer is called {name!r}", f"there are: {', '.join(self.relay.printers)}")
        if self.relay.printers[name].model.dialect == "star":
            raise Problem(
                f"printer {name} speaks Star's own commands, slips are ESC/POS",
                "set the printer to ESC/POS emulation, and its model to star-escpos",
            )
        if not 0 < len(slip) <= 200:
            raise Problem("a slip's name has 1 to 200 characters", "ORDER/PART/COPYNUMBER")
        valid_s = min(max(float(header.get("valid_s", 600)), 0.0), VALID_MOST_S)
        wrong = allowed.problem(body)

        def done(result: tuple[Fate, dict[str, Any] | None]) -> None:
            fate, queued = result
            answer.reply({"fate": fate})
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

        self._write(intend, done, answer)

    def _withdraw(self, header: Header, body: bytes, answer: Answer) -> None:
        slip, attempt = str(header["slip"]), int(header["attempt"])
        if any(slips.is_started(slip, attempt) for slips in self.relay.slips.values()):
            answer.reply({"result": "too_late"})
            return
        for slips in self.relay.slips.values():
            slips.remove(slip, attempt)

        def done(result: tuple[str, Fate | None]) -> None:
            if result[1] is not None:
                self.relay.tell_fate(result[1])
            answer.reply({"result": result[0]})

        self._write(lambda store: store.fates.withdraw(slip, attempt), done, answer)

    def _fates(self, header: Header, body: bytes, answer: Answer) -> None:
        after = int(header.get("after") or 0)

        def done(fates: list[Fate]) -> None:
            answer.reply({"fates": fates, "last": fates[-1]["id"] if fates else after})

        self._read(lambda store: store.fates.after(after), done, answer)

    # ------------------------------------------------------------------ printers

    def _status(self, header: Header, body: bytes, answer: Answer) -> None:
        if header.get("ask"):
            self.relay.ask_printers(lambda: answer.reply(self.relay.status()))
        else:
            answer.reply(self.relay.status())

    def _probe(self, header: Header, body: bytes, answer: Answer) -> None:
        self.relay.probe(
            str(header.get("url") or ""),
            lambda found: answer.reply({"devices": found}),
            gently=bool(header.get("gently")),
        )

    def _buzz(self, header: Header, body: bytes, answer: Answer) -> None:
        name = str(header.get("printer") or "") or next(iter(self.relay.printers))
        printer = self.relay.printers.get(name)
        if printer is None:
            raise Problem(f"no printer is called {name!r}", f"there are: {', '.join(self.relay.printers)}")
        if not printer.model.buzzer:
            raise Problem(f"printer {name} has no buzzer that we know of", "set its model, or `buzzer` in its file")
        if not self.relay.slips[name].between_jobs(bytes.fromhex(printer.model.buzzer)):
            raise Problem(f"printer {name} is printing, or cannot be reached", "ask again")
        answer.reply({})

    # ------------------------------------------------------------------ the journal

    def _read(self, work: Callable[[Store], Any], done: Callable[[Any], None], answer: Answer) -> None:
        self.relay.journal.read(work, done, lambda error: _failed(error, answer))

    def _write(self, work: Callable[[Store], Any], done: Callable[[Any], None], answer: Answer) -> None:
        self.relay.journal.do(work, done, lambda error: _failed(error, answer))


def _failed(error: Exception, answer: Answer) -> None:
    if isinstance(error, NotNow):
        answer.reply({"error": {"problem": error.problem, "hint": error.hint}})
    elif isinstance(error, (sqlite3.Error, OSError)):
        answer.reply({"error": {"problem": f"the journal fails: {error}", "hint": "is the disk full, or dying?"}})
    else:
        answer.reply({"error": {"problem": str(error), "hint": ""}})


def _key(key: Any) -> list[Any]:
    epoch, seq = key
    if not isinstance(epoch, str) or type(seq) is not int or not 0 <= seq < 1 << 40:
        raise ValueError("a key is [epoch, seq]")
    return [epoch, seq]
