"""The console's routes, put together. A page is a module with `routes(desk)`, and one word in PAGES."""

from __future__ import annotations

from typing import Any

from litestar import Response, Router

from cloud.api.problem import from_exception
from cloud.console import (
    access_apps,
    access_boxes,
    access_keeping,
    access_keys,
    access_people,
    access_webhooks,
    analysis,
    box,
    completeness,
    connector,
    customers,
    door,
    fleet,
    front,
    live,
    menu_pages,
    notices,
    order_rules,
    printing,
    receipts,
    setup,
    slip_page,
    sounds,
    tables,
    teach,
)
from cloud.console.desk import Ask, Desk, LoggedOut
from cloud.context import Context

PAGES = (
    door,
    live,
    completeness,  # before receipts: its address is more exact
    receipts,
    analysis,
    connector,  # before customers: its address is more exact
    customers,
    fleet,
    box,
    setup,
    access_boxes,
    access_people,
    access_apps,
    access_keeping,
    access_keys,
    access_webhooks,
    front,
    menu_pages,
    tables,
    notices,
    order_rules,
    printing,
    slip_page,
    sounds,
    teach,
)


class Console:
    """The merchant's pages, below one router: it sends strangers to the log-in, and shows problems as pages."""

    def __init__(self, cloud: Context) -> None:
        self.desk = Desk(cloud)

    def astray(self, request: Ask, error: Exception) -> Response[Any]:
        """An address that nothing answers: a page for people, problem+json for programs."""
        api = request.url.path.startswith("/v1/")
        return from_exception(error).response() if api else self.desk.problem(request, error)

    def routes(self) -> list[Any]:
        handlers = [handler for page in PAGES for handler in page.routes(self.desk)]
        desk = self.desk

        def logged_out(
            request: Ask, error: Exception
        ) -> Response[Any]:  # functions: Litestar copies its routers deeply
            return desk.logged_out(request)

        def problem(request: Ask, error: Exception) -> Response[Any]:
            return desk.problem(request, error)

        problems: dict[int | type[Exception], Any] = {LoggedOut: logged_out, Exception: problem}
        return [Router("/", route_handlers=handlers, exception_handlers=problems)]
