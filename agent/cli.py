"""tillwire: the technician's command. Every part is imported only where its command needs it, so that each starts fast.

Every message says what was tried, on what, and what helps. Exit 0: well; 1: not well; 2: wrong use; 78: wrong settings.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from agent.doctor import Tools
    from config.box import Box

CONFIG = "/etc/tillwire/agent.toml"
config_option = click.option(
    "--config", "config", default=CONFIG, show_default=True, metavar="FILE", help="agent.toml of this box."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="tillwire")
def main() -> None:
    """Tillwire: the box between a shop's till and its receipt printer."""


@main.command("check-config")
@click.argument("file", type=click.Path(path_type=Path))
def check_config(file: Path) -> None:
    """Tell whether FILE (agent.toml or cloud.toml) is right; name every problem that it has."""
    from config.load import ConfigError

    try:
        if _is_cloud(file):
            from config.cloud import load_cloud

            load_cloud(file)
            click.echo(f"{file}: right (settings of a cloud service)")
        else:
            from config.box import box_id, load_box

            box = load_box(file)
            _warn_of_secrets(file, box)
            click.echo(f"{file}: right (box {box_id(box)}, {len(box.printer)} printer(s), {len(box.pos)} POS link(s))")
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(78)


@main.command("read")
@click.argument("files", nargs=-1, required=True, type=click.Path(allow_dash=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each job (and each receipt in it).")
@click.option("--png", type=click.Path(path_type=Path), metavar="FILE", help="Write the paper as a picture.")
@click.option("--explain", is_flag=True, help="Which rule found what, on which line, how surely.")
def read(files: tuple[Path, ...], as_json: bool, png: Path | None, explain: bool) -> None:
    """Read captured print streams (-: standard input): what stands on the paper, and what it means."""
    from agent import reading_cli

    sys.exit(reading_cli.show(files, as_json=as_json, png=png, explain=explain))


@main.group("wire")
def wire_group() -> None:
    """What crosses the network, for people."""


@wire_group.command("decode")
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--leaf", help="receipts, acks, orders, reports, status, commands or results; without it, tried in turn.")
def wire_decode(file: Any, leaf: str | None) -> None:
    """Show a message's payload (FILE, or standard input) as JSON."""
    from wire import show

    try:
        click.echo(show.as_json(file.read(), leaf))
    except ValueError as error:
        raise click.ClickException(str(error)) from error


@main.command("status")
@config_option
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def status(config: str, as_json: bool) -> None:
    """Printers, POS links and counters, as the relay knows them now."""
    box = _box(config)
    answer = _ask_relay(box, "hello") | _ask_relay(box, "status")
    answer.pop("n", None)
    if as_json:
        click.echo(json.dumps(answer, indent=2, ensure_ascii=False))
        return
    click.echo(f"epoch {answer.get('epoch')}  last job {answer.get('last_seq')}")
    for kind, found in (("printer", answer.get("printers") or {}), ("pos", answer.get("pos") or {})):
        for name, values in found.items():
            counted = values.pop("counters", {})
            click.echo(f"{kind} {name}: " + "  ".join(f"{k}={v}" for k, v in values.items() if v is not None))
            click.echo("    " + ("  ".join(f"{k}={v}" for k, v in sorted(counted.items())) or "nothing yet"))
    for name, value in sorted((answer.get("counters") or {}).items()):
        click.echo(f"{name} = {value}")


@main.command("doctor")
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each finding.")
@click.option(
    "--scan", is_flag=False, flag_value="", metavar="[NETWORK]", help="Look for printers there: at most a /24."
)
@click.option(
    "--print", "printer", is_flag=False, flag_value="", metavar="[PRINTER]", help="Print a test and a code page."
)
def doctor(config: str, as_json: bool, scan: str | None, printer: str | None) -> None:
    """Look at printers, tills, cloud and board; say what is wrong and what helps. Exit 1 when something is."""
    from agent import doctor, site

    tools = _tools(config)
    wrong = False
    findings = doctor.examine(Path(config), tools, scan)
    for finding in findings:
        wrong = wrong or finding.level == doctor.WRONG
        site.show(finding, as_json)
    if printer is not None:
        for finding in site.print_pages(_box(config), tools, printer):
            wrong = wrong or finding.level == doctor.WRONG
            site.show(finding, as_json)
    sys.exit(1 if wrong else 0)


@main.command("slip")
@config_option
@click.option("--printer", default="", metavar="NAME", help="Which printer; without it, the first.")
@click.option("--png", type=click.Path(path_type=Path), metavar="FILE", help="Draw it instead of printing it.")
def slip(config: str, printer: str, png: Path | None) -> None:
    """Print how the box is: name, addresses, link, version, printer, proof, claim code."""
    from agent import doctor, site

    box, tools = _box(config), _tools(config)
    if png is not None:
        png.write_bytes(site.drawn(site.status_slip(box, tools)))
        return
    finding = site.print_status(box, tools, printer)
    click.echo(str(finding))
    sys.exit(1 if finding.level == doctor.WRONG else 0)


@main.command("setup")
@config_option
@click.option("--printer", default="", metavar="URL", help="usb://auto, tcp://192.168.1.50:9100, serial:///dev/ttyUSB0")
@click.option("--model", default="auto", metavar="NAME", help="Its model; without it, the printer is asked.")
@click.option(
    "--pos", default="", metavar="URL", help="Where the till comes in: gadget://, tcp://0.0.0.0:9100, serial://"
)
@click.option("--cloud", default="", metavar="URL", help="The cloud's address: https://HOST.")
@click.option("--claim", default="", metavar="CODE", help="The code that the console made for this box.")
@click.option("--name", default="", metavar="ID", help="What the box is called: 8 to 36 of a-z 0-9 -.")
@click.option("--slip/--no-slip", "slip_at_boot", default=None, help="Print how the box is after each boot.")
@click.option("--yes", is_flag=True, help="Ask nothing.")
def setup(
    config: str, printer: str, model: str, pos: str, cloud: str, claim: str, name: str, slip_at_boot: bool | None,
    yes: bool,
) -> None:  # fmt: skip
    """Find printer and till, write the settings, start the box, claim it. Asks what the options leave out."""
    import dataclasses

    from agent import doctor, setup_dialogue, site
    from agent import setup as setting_up
    from config.load import ConfigError

    tools, path = _tools(config), Path(config)
    plan = setting_up.Plan(printer, model, pos, cloud, claim, name, slip_at_boot)
    try:
        if yes:
            plan = setting_up.filled(plan, tools)
            if plan.model == "auto":
                try:
                    says, found = setting_up.look_at(plan.printer, path, tools)
                    click.echo(f"{plan.printer}: {says}")
                    plan = dataclasses.replace(plan, model=found)
                except setting_up.NotSetUp as error:
                    click.echo(f"{error}; taken all the same")
        else:
            try:
                plan = setup_dialogue.talk(plan, path, tools, input, click.echo)
            except (EOFError, KeyboardInterrupt):
                click.echo("\nEnded; nothing was changed.", err=True)
                sys.exit(1)
        wrong = False
        for finding in setting_up.carry_out(path, plan, tools, _new_epoch):
            wrong = wrong or finding.level == doctor.WRONG
            site.show(finding)
    except (setting_up.NotSetUp, ConfigError, OSError) as error:
        click.echo(str(error), err=True)
        sys.exit(78 if isinstance(error, ConfigError) else 1)
    click.echo(setting_up.next_step(_box(config)))
    sys.exit(1 if wrong else 0)


@main.command("claim")
@click.argument("code")
@click.option(
    "--cloud", required=True, metavar="URL", help="The cloud's address, as its console shows it: https://HOST."
)
@click.option("--name", default="", metavar="ID", help="What the box would like to be called: 8 to 36 of a-z 0-9 -.")
@click.option("--take-along", is_flag=True, help="Receipts that were not sent yet go to the new merchant.")
@config_option
def claim(code: str, cloud: str, name: str, take_along: bool, config: str) -> None:
    """Give this box to the merchant who made CODE; its password is made here and written beside its data."""
    from agent import claim as claiming

    _box(config)
    try:
        done = claiming.claim(
            Path(config), cloud, code, wish=name, take_along=take_along, new_epoch=lambda box: _new_epoch(box)
        )
    except (claiming.NotClaimed, OSError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"This is box {done.box} now, at {done.broker}.")
    click.echo(f"Fingerprint {done.fingerprint}: the console shows the same for it.")
    if not _restart_agent():
        click.echo("Now restart the agent: systemctl restart tillwire-agent")


@main.command("audit")
@config_option
def audit(config: str) -> None:
    """Account for every job that was ever captured here. Exit 1 when one is missing."""
    from agent import auditing

    box = _box(config)
    try:
        report = auditing.audit(box.capture_db, box.agent_db)
    except OSError as error:
        raise click.ClickException(str(error)) from error
    for line in report.lines:
        click.echo(line)
    sys.exit(1 if report.missing else 0)


@main.group("alert")
def alert_group() -> None:
    """Sounds."""


@alert_group.command("test")
@config_option
@click.option("--sound", default="test", show_default=True, help="new_order_dine_in, new_order_takeaway, fault, ...")
@click.option("--say", default="test", show_default=True, help='Words behind it, for example "dine_in table 12".')
def alert_test(config: str, sound: str, say: str) -> None:
    """Play a sound the way an alert does, with words where [alerts] voice is set; tell what played it."""
    import asyncio
    import tempfile

    from agent.clips import Clips
    from agent.player import Player, SilentError

    box = _box(config)

    async def buzz() -> bool:
        for printer in box.printer:
            if "error" not in await _ask(box, "buzz", printer=printer):
                return True
        return False

    async def play() -> str:
        with tempfile.TemporaryDirectory() as folder:
            player = Player(box.alerts, buzz, Path(folder), Clips(Path(box.box.state_dir, "clips")))
            try:
                return await player.play(sound, say.split())
            finally:
                await player.stop()

    try:
        click.echo(f"{sound}: played by {asyncio.run(play())}. Did you hear it?")
    except SilentError as error:
        raise click.ClickException(f"nothing could play {sound}: {error}") from error


@main.command("card")
@click.option("--claim", "claiming", is_flag=True, help="Only the claim code, which needs the network.")
def card(claiming: bool) -> None:
    """Take what stands in tillwire.toml on the card's first partition: settings, network, claim. For the image."""
    from agent import card as carding

    sys.exit(carding.command(claiming, _new_epoch))


@main.command("update")
@click.argument("source", metavar="FILE|URL")
@config_option
def update(source: str, config: str) -> None:
    """Install a signed release (SOURCE.sig is its signature) once nothing prints; goes back when it is not well."""
    import os

    from agent import update_cli

    if os.geteuid() != 0:
        raise click.ClickException("this needs root: sudo tillwire update ...")
    box = _box(config)
    sys.exit(update_cli.update(source, lambda: _relay_status(box), box.cloud.ca_file))


@main.command("quiet")
@click.option("--within", type=float, default=60, show_default=True, metavar="S", help="Wait at most so long.")
@config_option
def quiet(within: float, config: str) -> None:
    """Wait until no printer has anything to do. Exit 1: it never was so."""
    from agent import update_cli

    box = _box(config)
    update_cli.quiet(lambda: _relay_status(box), within)


@main.command("migrate")
@click.option("--config", "config", metavar="FILE", help="agent.toml: both of its databases.")
@click.option("--capture-db", type=click.Path(path_type=Path), help="Only this journal of a relay.")
@click.option("--agent-db", type=click.Path(path_type=Path), help="Only this store of an agent.")
def migrate(config: str | None, capture_db: Path | None, agent_db: Path | None) -> None:
    """Bring the box's databases to this version's schema. Nothing happens where they have it."""
    from agent import migrations

    if config is None and capture_db is None and agent_db is None:
        config = CONFIG
    if config is not None:
        box = _box(config)
        capture_db, agent_db = capture_db or box.capture_db, agent_db or box.agent_db
    for path, kind in ((capture_db, migrations.CAPTURE), (agent_db, migrations.AGENT)):
        if path is None:
            continue
        try:
            click.echo(f"{path}: {migrations.migrate(path, kind)}")
        except migrations.CannotMigrate as error:
            raise click.ClickException(str(error)) from error


def _warn_of_secrets(file: Path, box: Box) -> None:
    """The file is right all the same: who may read them is no part of it."""
    from agent import doctor
    from agent.doctor_board import secrets

    for finding in secrets(file, box):
        if finding.level != doctor.OK:
            click.echo(f"warning: {finding.says}: {finding.helps}", err=True)


def _is_cloud(file: Path) -> bool:
    """By its sections; what cannot be read is left to the loader to tell."""
    import tomllib

    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return file.name.startswith("cloud")
    return bool(tree.keys() & {"web", "store", "broker"}) and not tree.keys() & {"box", "printer", "pos"}


def _box(config: str) -> Box:
    from config.box import load_box
    from config.load import ConfigError

    try:
        return load_box(config)
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(78)


def _tools(config: str) -> Tools:
    """The box's devices and its relay, for doctor, slip and set-up. Nothing is opened yet."""
    import asyncio

    from agent.doctor import Tools
    from agent.links import run_program
    from config import last_good
    from config.load import ConfigError
    from drivers import DeviceGone, open_printer
    from drivers.printer_class.devices import printers

    def ask(op: str, body: bytes = b"", **fields: Any) -> dict[str, Any]:
        try:
            box, _ = last_good.load_or_last_good(config)
        except ConfigError as error:
            return {"error": str(error)}
        return asyncio.run(_ask(box, op, body, **fields))

    return Tools(ask, open_printer, DeviceGone, printers, run_program)


def _new_epoch(box: Box) -> str:
    """Ask the relay for one -> "", or what is wrong. A box that has captured nothing yet needs none."""
    import asyncio

    if not box.capture_db.exists():
        return ""
    answer = asyncio.run(_ask(box, "new_epoch"))
    return f"the relay ({box.box.control}): {answer['error']}; start tillwire-relay" if "error" in answer else ""


def _restart_agent() -> bool:
    """Where systemd runs it and we may."""
    import os
    import subprocess

    if os.geteuid() != 0 or not Path("/run/systemd/system").exists():
        return False
    return not subprocess.run(["systemctl", "try-restart", "tillwire-agent"], check=False).returncode


def _relay_status(box: Box) -> dict[str, Any]:
    """{} where there is none: no relay, no printing."""
    import asyncio

    answer = asyncio.run(_ask(box, "status"))
    return {} if "error" in answer else answer


def _ask_relay(box: Box, op: str, **fields: Any) -> dict[str, Any]:
    import asyncio

    answer = asyncio.run(_ask(box, op, **fields))
    if "error" in answer:
        raise click.ClickException(f"the relay ({box.box.control}): {answer['error']}; is tillwire-relay running?")
    return answer


async def _ask(box: Box, op: str, body: bytes = b"", **fields: Any) -> dict[str, Any]:
    """The relay's answer; {"error": ...} where there is none."""
    from relay.control import Client, Refused, RelayGone

    try:
        client = await Client.connect(box.box.control)
        try:
            return dict(await client.ask(op, body, **fields))
        finally:
            await client.close()
    except (RelayGone, Refused) as error:
        return {"error": str(error)}


if __name__ == "__main__":
    main()
