"""/v1/openapi.json: what Litestar finds in the routes, with two things put right.

The shapes of bodies come from msgspec, which also checks what is sent: so every limit that is checked is written down.
And every operation may answer with a problem, of one shape.
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler

from cloud.api.problem import TITLES

PROBLEM: dict[str, Any] = {
    "title": "Problem",
    "description": "RFC 9457. The end of `type` is a word that a program can act on.",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "examples": ["urn:tillwire:problem:not-found"]},
        "title": {"type": "string", "examples": [TITLES[404]]},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {"type": "object", "properties": {"field": {"type": "string"}, "problem": {"type": "string"}}},
        },
    },
}
REF = "#/components/schemas/{name}"


def document(app: Litestar) -> dict[str, Any]:
    """The OpenAPI document of the whole API."""
    found: dict[str, Any] = app.openapi_schema.to_schema()
    shapes = found.setdefault("components", {}).setdefault("schemas", {})
    _, exact = msgspec.json.schema_components(_structs(app), ref_template=REF)
    shapes.update(exact)
    shapes["Problem"] = PROBLEM
    problem = {
        "description": "What was wrong, and what helps.",
        "content": {"application/problem+json": {"schema": {"$ref": REF.format(name="Problem")}}},
    }
    for operations in found["paths"].values():
        for operation in operations.values():
            if isinstance(operation, dict) and "responses" in operation:
                operation["responses"].pop("400", None)  # Litestar's own shape, which nobody is sent
                operation["responses"]["default"] = problem
                if "201" in operation["responses"]:  # what was made before, and is asked for again, answers 200
                    operation["responses"].setdefault("200", operation["responses"]["201"])
    return found


def _structs(app: Litestar) -> list[type]:
    """Every struct that is a body, or an answer, of a route in the document."""
    found: dict[str, type] = {}
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if not isinstance(handler, HTTPRouteHandler) or not handler.resolve_include_in_schema():
                continue
            data = handler.parsed_data_field
            for field in ([data] if data is not None else []) + [handler.parsed_fn_signature.return_type]:
                for kind in (field.annotation, *(inner.annotation for inner in field.inner_types)):
                    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
                        found[kind.__name__] = kind
    return list(found.values())
