"""The HTTP side: /v1, the console, /healthz, /metrics; in one Litestar application, served by uvicorn."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
from collections import defaultdict
from typing import TYPE_CHECKING, Any

import anyio.to_thread
import uvicorn
from litestar import Litestar, MediaType, Request, Response, Router, get
from litestar.config.compression import CompressionConfig
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp, Message, Receive, Send
from prometheus_client import generate_latest

from cloud import metrics, order_page
from cloud.api import problem
from cloud.api.access import key_guard
from cloud.api.asyncapi import asyncapi
from cloud.api.channels import channel_hook
from cloud.api.claims import claim
from cloud.api.document import document
from cloud.api.figures import Analytics, CustomersApi
from cloud.api.oauth import metadata, revoke, token
from cloud.api.routes import ROUTES
from cloud.api.strict import strict, whole
from cloud.console.pages import Console
from cloud.context import Cloud, Context
from cloud.reader_door import Shared
from cloud.service import ready

if TYPE_CHECKING:
    from cloud.service import Service

log = logging.getLogger("cloud.web")
MAX_BODY = 256 * 1024
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@get(["/healthz", "/healthz/ready"], opt={"public": True}, include_in_schema=False)
async def healthz(cloud: Cloud) -> Response[dict[str, Any]]:
    """Whether each part works: send requests here, or not (503)."""
    works = await anyio.to_thread.run_sync(cloud.works)
    fine = all(works.values())
    return Response({"ok": fine, **works}, status_code=200 if fine else 503)


@get("/healthz/live", sync_to_thread=False, opt={"public": True}, include_in_schema=False)
def live() -> dict[str, bool]:
    """Whether the process answers: start it again, or not. A database that is away is no reason."""
    return {"ok": True}


@get("/metrics", sync_to_thread=True, opt={"public": True}, include_in_schema=False, media_type=MediaType.TEXT)
def show_metrics() -> Response[bytes]:
    return Response(generate_latest(metrics.REGISTRY), media_type="text/plain; version=0.0.4")


@get("/v1/openapi.json", opt={"public": True}, include_in_schema=False, sync_to_thread=True)
def openapi(request: Request[Any, Any, Any]) -> dict[str, Any]:
    return document(request.app)


OPEN = (channel_hook, claim, token, revoke, metadata, openapi, asyncapi, healthz, live, show_metrics)


def make_app(cloud: Context) -> Litestar:
    """The application. Everything a handler needs comes as `cloud`."""
    api = Router(
        "/v1",
        route_handlers=[*ROUTES, Analytics, CustomersApi],
        guards=[key_guard(cloud.store, cloud.config.web.api_rate)],
        before_request=strict,
        security=[{"key": []}],
    )

    async def provide() -> Context:
        return cloud

    console = Console(cloud)
    return Litestar(
        route_handlers=[api, *OPEN, *console.routes(), *order_page.routes(cloud)],
        dependencies={"cloud": Provide(provide)},
        guards=[whole],
        exception_handlers={Exception: problem.handle, 404: console.astray},
        request_max_body_size=MAX_BODY,
        openapi_config=OpenAPIConfig(
            title="Tillwire",
            version="1",
            description="Orders to paper, receipts to figures. Errors are application/problem+json.",
            path="/-/openapi",  # its router would answer for all of /v1; the document is served below
            render_plugins=[JsonRenderPlugin(path="/openapi.json")],
            components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
        ),
        compression_config=CompressionConfig(
            "gzip", minimum_size=1000, gzip_compress_level=6, exclude=["^/static/", "/live$", r"\.(png|pdf|xlsx)$"]
        ),
        logging_config=None,
    )


class Front:
    """Around the application: headers that every answer has, and the count of answers."""

    def __init__(self, app: Litestar, secure: bool) -> None:
        self._app: ASGIApp = app
        self._allow: dict[str, set[str]] = defaultdict(set)  # an address with all its methods: Litestar's OPTIONS
        for route in app.routes:  # names those of one handler
            if isinstance(route, HTTPRoute):
                self._allow[route.path_format] |= set(route.methods)
        self._headers = [
            (b"content-security-policy", POLICY.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"x-frame-options", b"DENY"),
            (b"referrer-policy", b"same-origin"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
        ]
        if secure:
            self._headers.append((b"strict-transport-security", b"max-age=31536000"))

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                metrics.REQUESTS.labels(str(message["status"])).inc()
                headers = list(message["headers"])
                names = {name.lower() for name, _ in headers}
                headers += [h for h in self._headers if h[0] not in names]
                if scope["method"] == "OPTIONS" and (all_of := self._allow.get(scope.get("path_template", ""))):
                    headers = [h for h in headers if h[0].lower() != b"allow"]
                    headers.append((b"allow", ", ".join(sorted(all_of)).encode()))
                if b"cache-control" not in names:
                    headers.append((b"cache-control", b"no-store"))
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, with_headers)


async def serve(service: Service) -> None:
    """Until SIGTERM or SIGINT, or until a worker fails."""
    config = service.config

    pictures = Shared()
    cloud = Context(service.store, config, service.bell, service.stopping, pictures, service.works)
    line = _listen(config.web.listen)
    server = _Server(
        uvicorn.Config(
            Front(make_app(cloud), cloud.secure),
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=5,
            timeout_keep_alive=30,
            lifespan="off",
        )
    )
    loop = asyncio.get_running_loop()

    def stop() -> None:
        service.stopping.set()
        service.bell.ring()
        server.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    if service.stopping.is_set():
        return
    try:
        await server.serve([line])
    finally:
        pictures.stop()


class _Server(uvicorn.Server):
    """uvicorn, with our signal handlers and our word for `ready`."""

    def capture_signals(self) -> Any:
        import contextlib

        return contextlib.nullcontext()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        for line in sockets or ():
            log.info("listening on http://%s:%d/", *line.getsockname()[:2])
        ready()


def _listen(address: str) -> socket.socket:
    """Raises OSError, and says what was tried."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        line = socket.create_server(
            (host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048
        )
    except OSError as error:
        raise OSError(f"[web] listen = {address!r}: {error}") from error
    # Accepted ones inherit it (Linux). asyncio sets it only on sockets it made; without, an answer waits 40 ms.
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line
