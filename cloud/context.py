"""What a request may use."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from litestar.di import NamedDependency

from cloud.events import Bell
from cloud.reader_door import Shared
from cloud.store.database import Store
from config.cloud import CloudConfig


@dataclass(frozen=True, slots=True)
class Context:
    store: Store
    config: CloudConfig
    bell: Bell
    stopping: threading.Event
    pictures: Shared
    works: Callable[[], dict[str, bool]]  # name of a part -> whether it works, for /healthz

    @property
    def secure(self) -> bool:
        """Pages are reached by https: cookies say so too."""
        return self.config.web.public_url.startswith("https://")


Cloud = NamedDependency[Context]
