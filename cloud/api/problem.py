"""One shape for every error: application/problem+json (RFC 9457).

`kind` is a short word a program can act on; it ends the `type` URN. `detail` says what was wrong and what helps.
"""

from __future__ import annotations

import logging
from typing import Any

import sqlalchemy as sa
from litestar import Request, Response
from litestar.exceptions import HTTPException

from cloud import orders
from cloud.store.database import StoreAway

log = logging.getLogger("cloud.api")
TITLES = {
    400: "The request is not understood",
    401: "Who are you?",
    403: "Not allowed",
    404: "There is no such thing",
    405: "Not with this method",
    409: "It contradicts what is stored",
    413: "Too large",
    415: "Send application/json",
    422: "The values cannot be used",
    429: "Too many requests",
    500: "Our fault",
    503: "Try again",
}


class Problem(Exception):
    """An answer that is an error. `errors` lists the fields at fault: {"field", "problem"}."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        errors: list[dict[str, str]] | None = None,
        retry_after_s: float | None = None,
        allow: str = "",
    ) -> None:
        super().__init__(detail)
        self.allow = allow
        self.status, self.kind, self.detail = status, kind, detail
        self.errors, self.retry_after_s = errors, retry_after_s

    def response(self) -> Response[Any]:
        body: dict[str, Any] = {
            "type": f"urn:tillwire:problem:{self.kind}",
            "title": TITLES.get(self.status, "Error"),
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = self.errors
        headers = {}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(max(1, round(self.retry_after_s)))
        if self.allow:
            headers["Allow"] = self.allow
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return Response(body, status_code=self.status, media_type="application/problem+json", headers=headers)


def not_found() -> Problem:
    """The same answer for what does not exist and what is another merchant's."""
    return Problem(404, "not-found", "There is nothing here that you may see.")


def from_exception(error: Exception) -> Problem:
    """Any exception of a request -> the answer."""
    match error:
        case Problem():
            return error
        case orders.NoSuchOrder():
            return not_found()
        case orders.OtherBody():
            return Problem(409, "other-order", str(error))
        case orders.WrongState():
            return Problem(409, "wrong-state", f"{str(error)[0].upper()}{str(error)[1:]}.")
        case orders.NoBox():
            return Problem(409, "no-box", f"{str(error)[0].upper()}{str(error)[1:]}: claim one first.")
        case HTTPException():
            extra = error.extra if isinstance(error.extra, list) else []
            errors = [{"field": str(e.get("key", "")), "problem": str(e.get("message", ""))} for e in extra]
            if error.status_code == 404:
                return not_found()
            allow = (error.headers or {}).get("allow", "")
            return Problem(
                error.status_code, f"http-{error.status_code}", str(error.detail), errors=errors, allow=allow
            )
        case sa.exc.OperationalError() | sa.exc.TimeoutError() | sa.exc.InterfaceError() | StoreAway():
            log.error("store away: %s", str(error).splitlines()[0])
            return Problem(503, "store-away", "The database does not answer. Nothing was stored.", retry_after_s=2)
        case sa.exc.DataError():
            log.warning("not to be stored: %s", str(error).splitlines()[0])
            return Problem(422, "bad-text", "A NUL, or a number that is too large, cannot be stored. Nothing was.")
        case RecursionError():
            return Problem(400, "too-deep", "The JSON is nested too deeply.")
    log.error("request failed", exc_info=error)
    return Problem(500, "internal", "Something here failed; it is in our log. The same request may be sent again.")


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    return from_exception(error).response()
