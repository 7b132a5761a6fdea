"""The questions of `tillwire setup`: plain lines, also on a serial console. Nothing is written before the last yes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from agent import setup
from agent.doctor import Tools
from agent.doctor_devices import PORT, listening, own_network
from agent.setup import Choice, NotSetUp, Plan
from config.box import LOOPBACK
from config.devices import pos_url, printer_url

Say = Callable[[str], None]
Ask = Callable[[str], str]  # the question -> the line that was typed; raises EOFError
BAUDS = ("9600", "19200", "38400", "57600", "115200")


def talk(plan: Plan, config: Path, tools: Tools, ask: Ask, say: Say) -> Plan:
    """The whole plan. What the options said already is not asked. Raises EOFError, KeyboardInterrupt, NotSetUp."""
    say("This sets up the box between a till and its printer. Enter takes what stands in [ ]. Ctrl-C ends it; nothing")
    say("is changed before the last question.")
    say("")
    plan = _printer(plan, config, tools, ask, say)
    plan = _till(plan, tools, ask, say)
    plan = _cloud(plan, ask, say)
    say("")
    say(f"  printer   {plan.printer}  (model {plan.model})")
    say(f"  till      {plan.pos}")
    say(f"  cloud     {plan.cloud or 'not yet'}")
    say(f"  file      {config}")
    if not _yes(ask, "Write this and start?", True):
        raise NotSetUp("nothing was changed")
    return plan


def _printer(plan: Plan, config: Path, tools: Tools, ask: Ask, say: Say) -> Plan:
    asked = bool(plan.printer)
    while True:
        if not plan.printer:
            plan = replace(plan, printer=_choose_printer(tools, ask, say))
        say(f"Asking {plan.printer} ...")
        try:
            says, model = setup.look_at(plan.printer, config, tools)
            say(f"  {says}")
            return replace(plan, model=model if plan.model == "auto" else plan.model)
        except NotSetUp as error:
            say(f"  {error}")
            if _yes(ask, "Take it all the same?", asked):
                return plan
            plan = replace(plan, printer="")


def _choose_printer(tools: Tools, ask: Ask, say: Say) -> str:
    found = setup.printers(tools)
    while True:
        say("1. The printer")
        url = _choose(
            found, ask, say, "s looks in the network; or type its address or url", printer_url, "tcp://{}:9100"
        )
        if url != "s":
            return url
        network = own_network(tools)
        say(f"Looking for printers in {network or 'no network'} ...")
        there = _scan(network)
        found = [*setup.printers(tools), *(Choice(f"tcp://{host}:{PORT}", "in the network") for host in there)]
        if not there:
            say(
                "  none: is it on, and in this network? Its self-test (FEED held while switching on) prints its address"
            )


def _scan(network: str) -> list[str]:
    import asyncio
    import ipaddress

    return asyncio.run(listening([str(host) for host in ipaddress.ip_network(network).hosts()])) if network else []


def _till(plan: Plan, tools: Tools, ask: Ask, say: Say) -> Plan:
    if plan.pos:
        return plan
    say("2. The till: how does it print today?")
    url = _choose(setup.tills(tools, plan.printer), ask, say, "or type a url", pos_url, "")
    if url.startswith("serial:"):
        baud = ""
        while baud not in BAUDS:
            baud = ask(f"Its speed, as the printer's was ({', '.join(BAUDS)}) [9600]: ").strip() or "9600"
        url = setup.with_baud(url, baud)
    return replace(plan, pos=url)


def _cloud(plan: Plan, ask: Ask, say: Say) -> Plan:
    if plan.cloud and plan.claim:
        return plan
    say("3. The cloud: the console (Boxes) shows its address and makes a claim code.")
    cloud = plan.cloud
    while not cloud:
        typed = ask("Address, https://HOST [later]: ").strip()
        if not typed:
            return plan
        cloud = typed if "://" in typed else f"https://{typed}"
        host = urlsplit(cloud).hostname or ""
        if "." not in host and ":" not in host and host not in LOOPBACK:
            say(f"  {typed!r} is no address: it looks like https://cloud.example.net")
            cloud = ""
    claim = plan.claim or ask("Claim code [later]: ").strip()
    return replace(plan, cloud=cloud, claim=claim)


def _choose(
    found: list[Choice], ask: Ask, say: Say, hint: str, wrong: Callable[[str], str | None], address: str
) -> str:
    """A number of the list, or a url that can work; "s" where the hint offers it."""
    for number, choice in enumerate(found, 1):
        say(f"   {number}  {choice.says}  ({choice.url})")
    while True:
        typed = ask(f"Number, {hint}{' [1]' if found else ''}: ").strip() or ("1" if found else "")
        if typed.isdigit() and 0 < int(typed) <= len(found):
            return found[int(typed) - 1].url
        if typed == "s" and address:
            return typed
        url = address.format(typed) if address and typed and "://" not in typed and not typed.isdigit() else typed
        problem = wrong(url) if url else "type something"
        if problem is None:
            return url
        say(f"  {typed!r}: {problem}")


def _yes(ask: Ask, question: str, default: bool) -> bool:
    typed = ask(f"{question} [{'Y/n' if default else 'y/N'}]: ").strip().lower()
    return typed in ("y", "yes", "j", "ja") if typed else default
