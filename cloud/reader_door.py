"""The service's side of cloud/reader.py: ask the child, and start another one when it died."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time

import msgspec

from wire.messages import Reading

READ_S = 10.0
CHILD = ["-m", "cloud.reader"]
MAX_ANSWER = 64 << 20


class ReaderDied(Exception):
    """The child ended, hung, or said what is no reading."""


class Reader:
    """The child. Every call raises ReaderDied when it ends, hangs, or says what is no answer; the next starts another.

    One caller at a time; `Shared` below is for many.
    """

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self.rules_version: str | None = None  # None until one has started

    def start(self) -> None:
        if self._child is not None and self._child.poll() is None:
            return
        self.stop()
        self._child = subprocess.Popen(
            [sys.executable, *CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
        )
        self.rules_version = self._reading(self._answer(READ_S * 3)).rules_version

    def read(self, raw: bytes, known: dict[str, str | None] | None = None) -> Reading:
        """`known`: what is known of the job beforehand, see cloud.reader.Known."""
        return self._reading(self.ask(b"r", raw, known))

    def ask(self, what: bytes, raw: bytes, known: dict[str, str | None] | None = None) -> bytes:
        """`what`: r, h or p, see cloud/reader.py."""
        self.start()
        assert self._child is not None and self._child.stdin is not None
        try:
            if known:
                self._child.stdin.write(_frame(b"k", msgspec.json.encode(known)))
            self._child.stdin.write(_frame(what, raw))
            self._child.stdin.flush()
        except OSError as error:
            self.stop()
            raise ReaderDied(f"the reader ended: {error}") from error
        return self._answer(READ_S)

    def stop(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except OSError:
                        pass

    def _reading(self, body: bytes) -> Reading:
        try:
            return msgspec.msgpack.decode(body, type=Reading)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self.stop()
            raise ReaderDied(f"not a reading: {error}") from error

    def _answer(self, limit_s: float) -> bytes:
        end = time.monotonic() + limit_s
        try:
            size = int.from_bytes(self._exactly(4, end), "big")
            if size > MAX_ANSWER:
                raise OSError(f"an answer of {size} bytes")
            return self._exactly(size, end)
        except OSError as error:
            code = None
            if self._child is not None:
                try:
                    code = self._child.wait(0.2)
                except subprocess.TimeoutExpired:  # it hangs: stop() kills it
                    pass
            self.stop()
            raise ReaderDied(f"{error} (code {code})") from error

    def _exactly(self, count: int, end: float) -> bytes:
        assert self._child is not None and self._child.stdout is not None
        descriptor, data = self._child.stdout.fileno(), bytearray()
        while len(data) < count:
            if not select.select([descriptor], [], [], max(0.0, end - time.monotonic()))[0]:
                raise OSError("the reader did not answer in time")
            piece = os.read(descriptor, min(count - len(data), 1 << 20))
            if not piece:
                raise OSError("the reader ended")
            data += piece
        return bytes(data)


def _frame(what: bytes, body: bytes) -> bytes:
    return what + len(body).to_bytes(4, "big") + body


class Shared:
    """One child for the pages' pictures: callers take turns. None where it cannot be drawn."""

    def __init__(self) -> None:
        self._reader, self._turn = Reader(), threading.Lock()

    def html(self, raw: bytes) -> str | None:
        body = self._ask(b"h", raw)
        return None if body is None else body.decode()

    def png(self, raw: bytes) -> bytes | None:
        return self._ask(b"p", raw)

    def stop(self) -> None:
        with self._turn:
            self._reader.stop()

    def _ask(self, what: bytes, raw: bytes) -> bytes | None:
        with self._turn:
            try:
                return self._reader.ask(what, raw)
            except ReaderDied:
                return None
