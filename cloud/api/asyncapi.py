"""The AsyncAPI document of the MQTT topics, made from wire/: what boxes and the cloud say to each other."""

from __future__ import annotations

import typing
from functools import cache
from typing import Any

import msgspec
from litestar import get

from wire import messages, topics

TEXT = """Payloads are one format byte, then MessagePack: 1 plain, 2 raw deflate. The schemas show the MessagePack as
JSON; `contentEncoding: base64` stands for its binary type. A message is at most 128 KiB. QoS 1, acks QoS 0; only status
is retained. A box has its id as user name and client id, and speaks on its own topics alone. A PUBACK means nothing:
a job or report is safe once `down/acks` names it."""
ABOUT = {
    "receipts": "Captured jobs, pieces of large ones, and tombstones for numbers that never come.",
    "reports": "What became of orders; `held` lists, after a reconnect, what is not printed yet.",
    "status": "What a box says of itself, each minute, when something changes, and as its will.",
    "results": "What became of commands.",
    "acks": "What the cloud has committed, and which numbers it misses.",
    "orders": "Print, cancel, and go or no-go after an outage.",
    "commands": "Test slip, play sound, identify, read again, send logs, new epoch.",
}


@get("/v1/asyncapi.json", opt={"public": True}, include_in_schema=False, sync_to_thread=True)
def asyncapi() -> dict[str, Any]:
    return document()


@cache
def document() -> dict[str, Any]:
    kinds = {leaf: typing.get_args(kind) or (kind,) for leaf, kind in messages.BY_LEAF.items()}
    all_kinds = [kind for some in kinds.values() for kind in some]
    shown = [_with_reading(kind) if kind is messages.Captured else kind for kind in all_kinds]
    _, schemas = msgspec.json.schema_components(shown, ref_template="#/components/schemas/{name}")
    channels, operations = {}, {}
    for direction, leaves in (("up", topics.UP), ("down", topics.DOWN)):
        for leaf in leaves:
            channels[leaf] = {
                "address": f"tillwire/1/{{shard}}/{{box}}/{direction}/{leaf}",
                "description": ABOUT[leaf],
                "parameters": {
                    "shard": {"description": "The first two hex digits of sha256(box)."},
                    "box": {"description": f"The box's id: {topics.BOX.pattern}"},
                },
                "messages": {kind.__name__: _ref("messages", kind.__name__) for kind in kinds[leaf]},
            }
            operations[leaf] = {  # as the cloud sees it
                "action": "receive" if direction == "up" else "send",
                "channel": {"$ref": f"#/channels/{leaf}"},
                "bindings": {"mqtt": {"qos": 0 if leaf == "acks" else 1, "retain": leaf == "status"}},
            }
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Tillwire: boxes and the cloud", "version": "1", "description": TEXT},
        "defaultContentType": "application/x-msgpack",
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": {
                kind.__name__: {
                    "name": kind.__struct_config__.tag,
                    "summary": (kind.__doc__ or "").partition("\n\n")[0] if "__doc__" in vars(kind) else "",
                    "payload": _ref("schemas", kind.__name__),
                }
                for kind in all_kinds
            },
            "schemas": schemas,
        },
    }


def _with_reading(kind: type[messages.Message]) -> type[msgspec.Struct]:
    """A job with its reading spelled out: in wire/ that field is decoded apart."""
    fields: list[Any] = []
    for field in msgspec.structs.fields(kind):
        what: Any = messages.Reading | None if field.name == "reading" else field.type
        if field.required:
            fields.append((field.name, what))
        else:
            fields.append((field.name, what, None if field.name == "reading" else field.default))
    return msgspec.defstruct(
        kind.__name__,
        fields,
        kw_only=True,
        tag_field="t",
        tag=kind.__struct_config__.tag,
        namespace={"__doc__": kind.__doc__},
    )


def _ref(where: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{where}/{name}"}
