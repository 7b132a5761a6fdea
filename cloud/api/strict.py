"""A body is what it says: 0 is not false, "5" is not 5. Litestar converts such values; an API for orders does not."""

from __future__ import annotations

import re
from typing import Any

import msgspec
from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from cloud.api.problem import Problem, not_found

WHERE = re.compile(r"^(.*) - at `\$\.?(.*)`$")


def whole(request: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """A guard of every address: PostgreSQL has no text with a NUL, and nothing here has one to ask for."""
    if "\x00" in request.url.path:
        raise not_found()
    if any("\x00" in text for _, text in request.query_params.multi_items()):
        raise Problem(422, "bad-text", "The address holds a NUL, for which nothing can be searched.")


async def strict(request: Request[Any, Any, Any]) -> None:
    """Before a request of /v1 is handled. Raises Problem 400; what is no JSON at all is left to Litestar."""
    field = request.route_handler.parsed_data_field
    if field is None:
        return
    body = await request.body()
    try:
        msgspec.json.decode(body, type=field.annotation)
    except msgspec.ValidationError as error:
        found = WHERE.match(str(error))
        told = {"field": found[2], "problem": found[1]} if found else {"field": "", "problem": str(error)}
        detail = f"{told['field'] or 'The body'}: {told['problem']}."
        raise Problem(400, "http-400", detail, errors=[told]) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, NotImplementedError, TypeError):
        return
