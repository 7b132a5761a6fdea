"""Masked bytes into the relay's journal, in place of the captured ones: one commit there for all that is at hand."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque

from agent.door import Door, Refused, RelayGone

MOST, BYTES = 30, 1 << 20  # jobs in one `replace` (a request's line holds 4 KiB), and bytes
Key = tuple[str, int]


class Replacing:
    def __init__(self, door: Door) -> None:
        self._door = door
        self._forms: deque[tuple[Key, str, bytes, asyncio.Future[None]]] = deque()  # with who waits
        self._task: asyncio.Task[None] | None = None

    async def replace(self, key: Key, sha256_raw: str, form: bytes) -> str:
        """The relay's journal holds the masked form from here on. -> its hash, frozen at the first time.

        Raises Refused, RelayGone. What comes while a request is under way goes together in the next one.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._forms.append((key, sha256_raw, form, done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._all(), name="reading-replace")
        await done
        return hashlib.sha256(form).hexdigest()

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _all(self) -> None:
        while self._forms:
            group, size = [self._forms.popleft()], 0
            while self._forms and len(group) < MOST and size + len(self._forms[0][2]) < BYTES:
                group.append(self._forms.popleft())
                size += len(group[-1][2])
            jobs = [[*key, sha256_raw, len(form)] for key, sha256_raw, form, _ in group]
            refused: dict[Key, str] = {}
            trouble: Exception | None = None
            try:
                answer = await self._door.ask("replace", b"".join(form for _, _, form, _ in group), jobs=jobs)
                refused = {
                    (str(one["key"][0]), int(one["key"][1])): str(one["problem"]) for one in answer.get("refused") or ()
                }
            except (RelayGone, Refused) as error:
                trouble = error
            for key, _, _, done in group:
                problem = trouble or (Refused(refused[key], "") if key in refused else None)
                if done.done():
                    continue
                if problem is None:
                    done.set_result(None)
                else:
                    done.set_exception(problem)
