"""What the workers that speak with boxes have in common: one thread, one broker connection with a clean session, opened
again, with a growing pause, whenever it breaks.
"""

from __future__ import annotations

import logging
import random
import secrets
import threading
from collections.abc import Callable

import sqlalchemy as sa

from cloud.events import Bell
from cloud.leases import Leases
from cloud.mqtt import Address, Mqtt, Offline
from cloud.store.database import Store
from config.cloud import CloudConfig

FIRST_S, LONGEST_S = 0.1, 10.0


class Line:
    """`run()` is a thread's work, until `stopping` is set. A worker is a subclass with `_work(mqtt)`, which returns
    when it is told to stop, and lets Offline and the database's errors through."""

    name = "line"

    def __init__(
        self,
        store: Store,
        config: CloudConfig,
        address: Callable[[], Address],
        bell: Bell,
        stopping: threading.Event,
        leases: Leases | None = None,
    ) -> None:
        self._store, self._config, self._address, self._bell, self._stopping = store, config, address, bell, stopping
        self._leases = leases  # None: all boxes are ours
        self._log = logging.getLogger(f"cloud.{self.name}")
        self._pause = FIRST_S
        self.connected = threading.Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            mqtt = None
            try:
                mqtt = Mqtt(self._address(), f"cloud-{self.name}-{secrets.token_hex(6)}")
                self._work(mqtt)
            except (Offline, OSError, sa.exc.SQLAlchemyError) as error:  # OSError: its password or CA cannot be read
                self.connected.clear()
                if not self._stopping.is_set():
                    self._log.warning("%s offline retry_s=%.1f: %s", self.name, self._pause, str(error).splitlines()[0])
                    self._stopping.wait(self._pause * random.uniform(0.5, 1))
                    self._pause = min(self._pause * 2, LONGEST_S)
            finally:
                if mqtt is not None:
                    mqtt.close()

    def _works(self, mqtt: Mqtt) -> None:
        """The connection is ready for use."""
        self._log.info("%s connected broker=%s", self.name, mqtt.where)
        self._pause = FIRST_S
        self.connected.set()

    def _work(self, mqtt: Mqtt) -> None:
        raise NotImplementedError
