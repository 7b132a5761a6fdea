"""Printers, as orders need them: what a model can do, why one cannot print now, and a slip for its paper."""

from __future__ import annotations

import functools
import logging
from typing import Any

from agent.slips import Slip
from config.load import ConfigError
from config.models import find_model, load_model
from receipt.script import undrawn
from receipt.slip_writer import Paper, paper_of
from wire import paper as wire_paper
from wire.messages import OrderContent

log = logging.getLogger("tillwire.agent")


@functools.cache
def paper(*models: str) -> Paper:
    """Of the first of these models that a file names: its file name, its `name`, or one of its `also`."""
    for model in models:
        try:
            if model and model != "auto":
                found = find_model(model)
                return paper_of(found[1] if found else load_model(model))
        except (ConfigError, OSError) as error:
            log.info("printer model %r is not known: %s", model, error)
    return Paper()


def trouble(status: dict[str, Any] | None) -> str | None:
    """Why a printer cannot print now, in words; None where it can, or nobody knows better."""
    if not status:
        return None
    if status.get("connected") is False:
        return "it is not connected or switched off"
    if status.get("paper") == "out":
        return "its paper is out"
    if status.get("cover_open"):
        return "its cover is open"
    if status.get("error"):
        return "it reports an error (paper jam, cutter)"
    if status.get("online") is False:
        return "it is offline"
    return None


def fault_sound(status: dict[str, Any] | None) -> str:
    """The sound, which is the word too, for what is wrong with a printer."""
    if not status or status.get("connected") is False:
        return "fault_offline"
    if status.get("paper") == "out":
        return "fault_paper"
    if status.get("cover_open"):
        return "fault_cover"
    return "fault_offline" if status.get("online") is False and not status.get("error") else "fault"


def undrawable(content: OrderContent, on: Paper) -> str:
    """The letters of an order that neither the printer nor a font of this box has."""
    texts = [content.table, content.customer, content.note, content.address]
    for item in content.items:
        texts += [item.name, item.note, *item.options, *item.allergens]
    return undrawn("".join(text for text in texts if on.script.encode(text) is None))


def render(slip: Slip, on: Paper | None = None) -> bytes:
    """The slip's bytes. Loads the encoder where it is not loaded yet: call it outside the loop."""
    what = slip.what()
    assert what is not None
    if boxes := undrawable(what.content, on or Paper()):
        log.warning(
            "slip=%s letters=%r no font of this box has them: they are empty boxes on paper;"
            " apt install fonts-noto-core fonts-noto-cjk", slip.name, boxes[:40],
        )  # fmt: skip
    return wire_paper.slip_bytes(
        what.content, what.style, on or Paper(), part=slip.part, label=what.label, copy_number=slip.copy_number,
        copies=slip.copies, mark=slip.mark, copy=slip.copy,
    )  # fmt: skip
