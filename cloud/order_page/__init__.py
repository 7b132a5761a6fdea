"""What customers see: menu, basket, order, and what became of it."""

from __future__ import annotations

from typing import Any

from litestar import Response, Router

from cloud.console.desk import Desk
from cloud.context import Context
from cloud.order_page import shop, status
from cloud.order_page.counter import Ask, Counter


def routes(cloud: Context) -> list[Any]:
    """Below one router, which shows problems as pages for customers."""
    counter = Counter(Desk(cloud))

    def refused(request: Ask, error: Exception) -> Response[Any]:  # a function: Litestar copies its routers deeply
        return counter.refused(request, error)

    handlers = [*shop.routes(counter), *status.routes(counter)]
    return [Router("/", route_handlers=handlers, exception_handlers={Exception: refused})]
