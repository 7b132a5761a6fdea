"""The control socket: the only door between relay and agent. The server runs in the relay's loop; `Client` is for the
agent, in asyncio, which is imported only there.

A frame is one JSON header line (at most 4 KiB), then `bytes` raw bytes when the header says so. A request has `n` and
`op`, its answer repeats `n`; an event has `event`. The server keeps at most 1 MiB of output per connection, then closes
it; it reads no request while an answer is waited for; and the relay never waits for anybody here.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from relay.loop import BROKEN, IN, OUT, Loop

if TYPE_CHECKING:
    import asyncio

LINE_MOST = 4096
BODY_MOST = 8 * 1024 * 1024
OUTPUT_MOST = 1024 * 1024
JOBS_AT_ONCE = 256 * 1024  # bytes of jobs read from the journal in one go
log = logging.getLogger("relay.control")
Header = dict[str, Any]


class Problem(Exception):
    """The request is refused: what is wrong, what helps."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem, self.hint = problem, hint


class Desk(Protocol):
    """Who does what requests ask for (relay.desk)."""

    def serve(self, header: Header, body: bytes, answer: Answer) -> None:
        """Answer now or later: any number of answer.part(), then one answer.reply(). Raises Problem."""


class Server:
    """Listens on a Unix socket, mode 0660, for whoever is in the folder's group."""

    def __init__(self, loop: Loop, path: str, desk: Desk) -> None:
        self.loop, self.path, self.desk = loop, path, desk
        self.connections: list[_Connection] = []
        if Path(path).is_socket():
            Path(path).unlink()
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.setblocking(False)
        before = os.umask(0o117)
        try:
            self._sock.bind(path)
        finally:
            os.umask(before)
        self._sock.listen(8)
        loop.watch(self._sock.fileno(), IN, self._accept)

    def _accept(self, events: int) -> None:
        try:
            sock, _ = self._sock.accept()
        except OSError:
            return
        if len(self.connections) >= 8:
            sock.close()
            return
        self.connections.append(_Connection(self, sock))

    def tell(self, event: Header) -> None:
        """An event, to everybody who is connected."""
        if self.connections:
            frame = _frame(event)
            for connection in tuple(self.connections):
                connection.put(frame)

    def close(self) -> None:
        for connection in tuple(self.connections):
            connection.close()
        self.loop.forget(self._sock.fileno())
        self._sock.close()
        Path(self.path).unlink(missing_ok=True)


class Answer:
    """The answer to one request."""

    def __init__(self, connection: _Connection, n: Any) -> None:
        self._connection, self._n = connection, n

    def part(self, frame: Header, raw: bytes = b"") -> None:
        """A frame of several."""
        self._connection.put(_frame({"n": self._n} | frame, raw), answer=True)

    def reply(self, frame: Header, raw: bytes = b"") -> None:
        """The last frame."""
        self.part(frame if "error" in frame else {"ok": True} | frame, raw)
        self._connection.answered()

    def drained(self, call: Callable[[], None]) -> None:
        """Call once the agent has taken most of what was sent: a large answer is made bit by bit."""
        self._connection.drained(call)


class _Connection:
    def __init__(self, server: Server, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._server, self._sock, self._fd = server, sock, sock.fileno()
        self._input = bytearray()
        self._header: Header | None = None  # read, its body still to come
        self._output: deque[memoryview] = deque()
        self._size = self._events_size = 0  # bytes that wait; those of events since nothing waited
        self._when_drained: Callable[[], None] | None = None
        self._busy = False
        self._events = IN
        server.loop.watch(self._fd, IN, self._ready)

    def _ready(self, events: int) -> None:
        if events & OUT:
            self._flush()
        if events & IN and not self._busy:
            try:
                data = self._sock.recv(65536)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.close()
                return
            self._input += data
            self._next()
        elif events & BROKEN:
            self.close()

    def _next(self) -> None:
        """Serve the requests that are here, one after the other."""
        while not self._busy and self._fd >= 0:
            if self._header is None:
                end = self._input.find(b"\n", 0, LINE_MOST)
                if end < 0:
                    if len(self._input) >= LINE_MOST:
                        self._refuse("a header line is longer than 4 KiB")
                    return
                line = bytes(self._input[:end])
                del self._input[: end + 1]
                try:
                    header = json.loads(line)
                    size = header.get("bytes", 0)
                    if not isinstance(header["op"], str) or type(size) is not int or not 0 <= size <= BODY_MOST:
                        raise ValueError
                except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
                    self._refuse("a header line is a JSON object with n and op, and bytes from 0 to 8 MiB")
                    return
                self._header = header
            size = self._header.get("bytes", 0)
            if len(self._input) < size:
                return
            header, self._header = self._header, None
            body = bytes(self._input[:size])
            del self._input[:size]
            self._serve(header, body)
        if self._busy and self._events & IN:
            self._watch(self._events & ~IN)

    def _serve(self, header: Header, body: bytes) -> None:
        self._busy = True
        answer = Answer(self, header.get("n"))
        try:
            self._server.desk.serve(header, body, answer)
        except Problem as error:
            answer.reply({"error": {"problem": error.problem, "hint": error.hint}})
        except (KeyError, TypeError, ValueError) as error:
            answer.reply(
                {"error": {"problem": f"{header['op']}: {type(error).__name__} {error}", "hint": "see DESIGN §3"}}
            )

    def answered(self) -> None:
        """The next request may be served; not from here, where the last one is still being served."""
        self._busy = False
        if self._fd >= 0:
            self._watch(self._events | IN)
            if self._input:
                self._server.loop.soon(self._next)

    def drained(self, call: Callable[[], None]) -> None:
        if self._size < JOBS_AT_ONCE or self._fd < 0:
            call()
        else:
            self._when_drained = call

    def _refuse(self, problem: str) -> None:
        log.warning("control=closed problem=%s", problem)
        self.put(_frame({"error": {"problem": problem, "hint": ""}}))
        self.close()

    def put(self, frame: bytes, *, answer: bool = False) -> None:
        """An answer is as large as it is, one at a time; events beyond the limit end the connection."""
        if self._fd < 0:
            return
        if not answer:
            self._events_size += len(frame)
        if self._events_size > OUTPUT_MOST:
            log.warning("control=closed problem=the agent does not read what it is told")
            self.close()
            return
        self._output.append(memoryview(frame))
        self._size += len(frame)
        if len(self._output) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._output:
            try:
                sent = self._sock.send(self._output[0])
            except BlockingIOError:
                break
            except OSError:
                self.close()
                return
            self._size -= sent
            if sent == len(self._output[0]):
                self._output.popleft()
            else:
                self._output[0] = self._output[0][sent:]
        self._watch(self._events | OUT if self._output else self._events & ~OUT)
        if not self._output:
            self._events_size = 0
        if self._when_drained is not None and self._size < JOBS_AT_ONCE:
            call, self._when_drained = self._when_drained, None
            call()

    def _watch(self, events: int) -> None:
        if events != self._events and self._fd >= 0:
            self._events = events
            self._server.loop.change(self._fd, events)

    def close(self) -> None:
        if self._fd >= 0:
            self._server.loop.forget(self._fd)
            self._fd = -1
            self._sock.close()
            self._output.clear()
            self._server.connections.remove(self)


def _frame(header: Header, raw: bytes = b"") -> bytes:
    if raw:
        header = header | {"bytes": len(raw)}
    return json.dumps(header, separators=(",", ":")).encode() + b"\n" + raw


# ---------------------------------------------------------------------- the agent's side


class RelayGone(Exception):
    """The relay is not there, or has closed the connection: connect again."""


class Refused(Exception):
    """The relay refuses: `problem`, and a `hint` what helps."""

    def __init__(self, problem: str, hint: str) -> None:
        super().__init__(f"{problem}; {hint}" if hint else problem)
        self.problem, self.hint = problem, hint


class Client:
    """A connection to the relay. `events` gets what happens there, and None once the relay is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        import asyncio

        self._reader, self._writer = reader, writer
        self.events: asyncio.Queue[Header | None] = asyncio.Queue()
        self._waiting: dict[int, asyncio.Queue[tuple[Header, bytes] | None]] = {}
        self._n = 0
        self._gone = False
        self._task = asyncio.create_task(self._listen(), name="relay-client")

    @classmethod
    async def connect(cls, path: str) -> Client:
        """Raises RelayGone when it is not there."""
        import asyncio

        try:
            reader, writer = await asyncio.open_unix_connection(path, limit=1 << 20)
        except OSError as error:
            raise RelayGone(f"relay at {path}: {error}") from error
        return cls(reader, writer)

    async def _listen(self) -> None:
        import asyncio

        try:
            while line := await self._reader.readline():
                header = json.loads(line)
                raw = await self._reader.readexactly(header["bytes"]) if "bytes" in header else b""
                if "event" in header:
                    self.events.put_nowait(header)
                elif header.get("n") in self._waiting:
                    self._waiting[header["n"]].put_nowait((header, raw))
        except (OSError, ValueError, asyncio.IncompleteReadError):
            pass
        finally:
            self._gone = True
            for queue in self._waiting.values():
                queue.put_nowait(None)
            self.events.put_nowait(None)

    async def _request(self, op: str, body: bytes, fields: Header) -> list[tuple[Header, bytes]]:
        """All frames of the answer; the last one bears ok. Raises RelayGone, Refused."""
        import asyncio

        self._n += 1
        n = self._n
        queue = self._waiting[n] = asyncio.Queue()
        try:
            if self._gone:
                raise RelayGone("the relay has closed the connection")
            try:
                self._writer.write(_frame({"n": n, "op": op} | fields, body))
                await self._writer.drain()
            except OSError as error:
                raise RelayGone(f"the relay is gone: {error}") from error
            frames = []
            while True:
                frame = await queue.get()
                if frame is None:
                    raise RelayGone("the relay has closed the connection")
                if "error" in frame[0]:
                    raise Refused(frame[0]["error"].get("problem", ""), frame[0]["error"].get("hint", ""))
                frames.append(frame)
                if "ok" in frame[0]:
                    return frames
        finally:
            del self._waiting[n]

    async def ask(self, op: str, body: bytes = b"", **fields: Any) -> Header:
        """One answer."""
        return (await self._request(op, body, fields))[-1][0]

    async def jobs(
        self, after: list[Any] | None = None, limit: int = 20, keys: list[Any] | None = None
    ) -> tuple[list[tuple[Header, bytes]], bool]:
        """Jobs that are not acked, after this key, or these keys -> (job header, bytes)…, and whether there are more.

        Tombstones come among them as ({"tomb": …}, b"").
        """
        asked: Header = {"limit": limit, "after": after} if keys is None else {"keys": keys}
        *jobs, (last, _) = await self._request("jobs", b"", asked)
        return [(header["job"] if "job" in header else {"tomb": header["tomb"]}, raw) for header, raw in jobs], last[
            "more"
        ]

    async def close(self) -> None:
        import asyncio

        self._task.cancel()
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except (OSError, asyncio.CancelledError):
            pass
