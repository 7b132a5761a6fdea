from __future__ import annotations

from tests.agent.conftest import bench
from tests.relay.conftest import box, make_box, printer

__all__ = ["bench", "box", "make_box", "printer"]
