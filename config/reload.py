"""SIGHUP: which keys of agent.toml changed, which may change while a program runs, and which need it to start anew.

Only what no part of the running program has copied is taken over; the rest is said, by key, with the unit to restart.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config.box import Box, load_box
from config.load import ConfigError

log = logging.getLogger("tillwire.config")

AT_ONCE = {  # program -> what it takes over while it runs
    "tillwire-relay": ("log.level",),
    "tillwire-agent": (
        "log.level", "alerts.sound", "alerts.repeat_s", "alerts.volume", "alerts.voice",
        "alerts.quiet", "alerts.quiet_faults", "alerts.until", "orders.max_print_age_s", "orders.unconfirmed",
        "cloud.web", "box.status_slip",
    ),
}  # fmt: skip
READS = {  # program -> the sections that mean something to it
    "tillwire-relay": ("box", "printer", "pos", "capture", "log"),
    "tillwire-agent": ("box", "printer", "capture", "cloud", "orders", "alerts", "page", "log"),
}
NOT_READ = {"tillwire-relay": ("box.status_slip", "box.id"), "tillwire-agent": ()}


@dataclasses.dataclass(frozen=True, slots=True)
class Changes:
    box: Box  # what the program runs on from now: the old values, with those that could change
    taken: tuple[str, ...]
    restart: tuple[str, ...]  # keys that count only once the program was restarted
    wrong: ConfigError | None = None  # the file cannot be used: everything stays


def reload(path: str | Path, running: Box, program: str) -> Changes:
    """The file, against what runs. Never raises."""
    try:
        wanted = load_box(path)
    except ConfigError as error:
        return Changes(running, (), (), error)
    changed = [key for key in sorted(changes(running, wanted)) if key.partition(".")[0] in READS[program]]
    changed = [key for key in changed if key not in NOT_READ[program]]
    taken = tuple(key for key in changed if key in AT_ONCE[program])
    box = running
    for key in taken:
        section, _, name = key.partition(".")
        values = {name: getattr(getattr(wanted, section), name)}
        box = dataclasses.replace(box, **{section: dataclasses.replace(getattr(box, section), **values)})
    return Changes(box, taken, tuple(key for key in changed if key not in taken))


def say(path: str | Path, program: str, found: Changes) -> None:
    """One line for each fact; a log level that changed counts at once."""
    if found.wrong is not None:
        for problem in found.wrong.problems:
            log.error("config=wrong file=%s %s", path, problem)
        log.error("config=kept %s goes on with the settings that it has; put %s right", program, path)
        return
    logging.getLogger().setLevel(found.box.log.level.upper())
    if found.taken:
        log.warning("config=reloaded %s", ", ".join(found.taken))
    if found.restart:
        log.warning("config=needs_restart %s: systemctl restart %s", ", ".join(found.restart), program)
    if not found.taken and not found.restart:
        log.warning("config=unchanged nothing in %s concerns %s", path, program)


def changes(one: Any, other: Any, at: str = "") -> Iterator[str]:
    """Dotted keys whose values differ; a printer or POS that is there on one side only is one key."""
    if dataclasses.is_dataclass(one):
        pairs = [(f.name, getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one)]
    elif isinstance(one, dict):
        pairs = [(name, one.get(name), other.get(name)) for name in sorted({*one, *other})]
    else:
        if one != other:
            yield at
        return
    for name, was, now in pairs:
        if was is None or now is None:
            if was is not now:
                yield f"{at}.{name}" if at else name
        else:
            yield from changes(was, now, f"{at}.{name}" if at else name)
