"""The box's programs with a fault of our own making, to see that the rigs see it. Never a part of the product.

python -m tests.rigs.seeded PROGRAM FAULT --config FILE        PROGRAM: relay | agent
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Callable
from typing import Any

FAULTS: dict[str, Callable[[], None]] = {}


def fault(function: Callable[[], None]) -> Callable[[], None]:
    FAULTS[function.__name__] = function
    return function


@fault
def normal_instead_of_full() -> None:
    """A commit is handed to the kernel, and not waited for."""
    from relay.store import Store

    def sync(self: Store, on: bool) -> None:
        self.db.execute("PRAGMA synchronous = NORMAL")

    Store.sync = sync  # type: ignore[method-assign]


@fault
def safe_before_commit() -> None:
    """The cut goes on to the printer when the job was handed over, not when it is on disk."""
    from relay.journal import Journal

    finish = Journal.finish

    def early(self: Journal, recording: Any, boundary: str, delivered: str, done: Any, **more: Any) -> None:
        done(["", 0])
        finish(self, recording, boundary, delivered, lambda key: None, **more)

    Journal.finish = early  # type: ignore[method-assign]


@fault
def cut_is_not_held() -> None:
    """The journal is behind the paper, by as much as it likes."""
    from relay import box

    settings = box.Settings
    box.Settings = lambda hold_cut_s, *rest: settings(0.0, *rest)  # type: ignore[assignment, misc]


@fault
def started_is_not_stored() -> None:
    """A slip's first byte goes out before the journal knows that it was begun."""
    from relay.fates import Fates

    change = Fates.change

    def forgetful(self: Fates, slip: str, attempt: int, state: str, *rest: Any) -> Any:
        return self.find(slip, attempt) if state == "started" else change(self, slip, attempt, state, *rest)

    Fates.change = forgetful  # type: ignore[method-assign]


@fault
def answered_before_commit() -> None:
    """The agent is told that masked bytes are safe, and that a job is let go of, while neither is on disk."""
    from relay.desk import Desk

    def early(self: Desk, header: Any, body: bytes, answer: Any) -> None:
        key, sha256 = header["key"], header["sha256_raw"]
        answer.reply({"key": key, "sha256": hashlib.sha256(body).hexdigest()})
        self.relay.loop.after(0.05, lambda: self.relay.journal.do(lambda store: store.replace(key, sha256, body)))

    Desk._replace = early  # type: ignore[method-assign]


@fault
def rows_are_not_checked() -> None:
    """A job's bytes are taken for what was captured, whatever they are by now."""
    from relay import listing
    from relay.store import Store

    job = listing._job

    def blind(store: Store, id_: int) -> Any:
        capture = store.db.execute("SELECT capture FROM jobs WHERE id = ?", (id_,)).fetchone()
        if capture:
            found = hashlib.sha256(store.raw(capture[0])).digest()
            store.db.execute("UPDATE jobs SET sha256 = ? WHERE id = ?", (found, id_))
        return job(store, id_)

    listing._job = blind


@fault
def seq_begins_again() -> None:
    """After a restart the numbers begin at the first that is not due any more."""
    from relay.store import Store

    recall = Store._recall

    def short(self: Store) -> None:
        recall(self)
        self.seq = self.db.execute("SELECT count(*) FROM jobs WHERE acked_ran IS NULL AND reason IS NULL").fetchone()[0]

    Store._recall = short  # type: ignore[method-assign]


@fault
def expiry_by_wall_clock() -> None:
    """How long a job was kept is told by the wall clock."""
    from relay.clock import wall_ms
    from relay.store import Store

    Store.ran = property(lambda self: wall_ms())  # type: ignore[assignment, method-assign]


@fault
def agent_normal_instead_of_full() -> None:
    """agent.db hands its commits to the kernel, and does not wait for them."""
    from agent.store import Store

    opened = Store._open_file

    def normal(self: Store) -> Any:
        connection = opened(self)
        connection.execute("PRAGMA synchronous = NORMAL")
        return connection

    Store._open_file = normal  # type: ignore[method-assign]


@fault
def sent_before_stored() -> None:
    """Whoever waits for agent.db goes on when his work was done, and not when it is on disk."""
    import asyncio
    import time

    from agent.store import Store

    run = Store.run

    async def early(self: Store, work: Any) -> Any:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()

        def slow(connection: Any) -> Any:
            value = work(connection)
            loop.call_soon_threadsafe(lambda: done.done() or done.set_result(value))
            time.sleep(0.02)
            return value

        whole = asyncio.ensure_future(run(self, slow))
        whole.add_done_callback(lambda f: done.done() or f.exception() is None or done.set_exception(f.exception()))
        return await done

    Store.run = early  # type: ignore[method-assign]


@fault
def freed_by_puback() -> None:
    """What the broker took is let go of: the cloud is not asked."""
    from agent.uplink import Uplink

    with_broker = Uplink._with_broker

    def free(self: Uplink, row_id: int, sent: Any, done: Any) -> None:
        with_broker(self, row_id, sent, done)

        async def release() -> None:
            from agent import outbox

            for row in await self.store.run(lambda c: outbox.by_ids(c, [row_id])):
                job = row.captured() if row.kind == "job" else None
                if job is not None:
                    await self._release([(row.id, job.epoch, job.seq, job.sha256.hex())])

        self._soon(release(), "freed")

    Uplink._with_broker = free  # type: ignore[method-assign]


@fault
def ack_of_any_hash() -> None:
    """An acknowledgement frees a job whatever hash it names."""
    from agent import outbox

    find = outbox.find_key

    class Any_(bytes):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = bytes.__hash__

    def blind(connection: Any, epoch: str, seq: int) -> Any:
        row = find(connection, epoch, seq)
        return None if row is None else (row[0], row[1], Any_(row[2]))

    outbox.find_key = blind


@fault
def new_id_on_retry() -> None:
    """Each time a job is sent it is another message."""
    import uuid

    from agent.outbox import Row

    captured = Row.captured

    def other(self: Row) -> Any:
        job = captured(self)
        job.id = str(uuid.uuid4())
        return job

    Row.captured = other  # type: ignore[method-assign]


def main() -> int:
    program, name, *arguments = sys.argv[1:]
    FAULTS[name]()
    sys.argv = [program, *arguments]
    return int(importlib.import_module(f"{program}.__main__").main() or 0)


if __name__ == "__main__":
    sys.exit(main())
