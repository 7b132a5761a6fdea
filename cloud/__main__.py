"""tillwire-cloud --config FILE [all|web|ingest], and the commands that set it up."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from cloud.logs import set_up
from config.cloud import CloudConfig, load_cloud
from config.load import ConfigError

EXIT_CONFIG = 78


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    try:
        config = load_cloud(arguments.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    set_up(config.log)
    if arguments.command in (None, "all", "web", "ingest"):
        return _serve(config, arguments.command or "all")
    return _command(config, arguments)


def _serve(config: CloudConfig, role: str) -> int:
    from cloud.broker import BrokerDead
    from cloud.service import Service
    from cloud.store.database import Busy, StoreAway

    try:
        Service(config, role).run()
    except (Busy, StoreAway, BrokerDead, OSError) as error:
        print(f"tillwire-cloud cannot start: {error}", file=sys.stderr)
        return 1
    return 0


def _command(config: CloudConfig, arguments: argparse.Namespace) -> int:
    from cloud import admin
    from cloud.admin_door import Refused
    from cloud.store.database import Busy, StoreAway

    if arguments.command == "broker-files":
        return _broker_files(config, arguments)
    if arguments.command in ("backup", "restore"):
        return _copy(config, arguments)
    name = "_".join(word for word in (arguments.command, getattr(arguments, "what", None)) if word)
    given: dict[str, Any] = {k: v for k, v in vars(arguments).items() if k not in ("config", "command", "what")}
    if given.pop("password_stdin", False):
        given["password"] = sys.stdin.readline().rstrip("\r\n")
    elif name == "merchant_add":
        import getpass

        given["password"] = getpass.getpass("password: ")
    if name == "channel_set":
        given["auto_accept"] = given["auto_accept"] == "yes"
    if name == "reread":
        given = _what_to_reread(given)
    if name == "merchant_keep":
        given["most"] = [config.keep.receipts_days, config.keep.raw_days]
    if arguments.command == "audit":
        given["anchors"] = str(Path(given["anchors"] or config.audit_anchors).absolute())
    try:
        answer = admin.run(config, name, given)
        while answer.get("more"):  # in pieces: the service goes on in between
            piece = admin.run(config, name, given | {"after": answer["more"]})
            answer = {key: value + answer[key] for key, value in piece.items() if key != "more"} | {
                "more": piece["more"]
            }
    except (Refused, Busy, StoreAway, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    for row in answer.get("rows", []):
        print("  ".join("-" if value is None else str(value) for value in row.values()))
    if "merchant" in answer:
        print(f"merchant {answer['merchant']}, user {answer['user']}")
    if name == "reread":
        print(f"{answer['count']} receipts will be read again")
    if name == "erase":
        print(f"{answer['count']} orders and {answer['receipts']} receipts erased")
        if answer["open"]:
            print(f"{answer['open']} orders are still open: erase again when they have ended", file=sys.stderr)
    if name == "client_add" and "secret" not in answer:
        print("It has no secret: PKCE alone.", file=sys.stderr)
    if "secret" in answer:
        print("Keep this; it is not shown again:", file=sys.stderr)
        print(answer["secret"])
    return 0


def _what_to_reread(given: dict[str, Any]) -> dict[str, Any]:
    from datetime import UTC, datetime

    from receipt.extract import RULES_VERSION

    since, everything = given.pop("since"), given.pop("all")
    moment = datetime.fromisoformat(since).replace(tzinfo=UTC) if since else None
    return given | {
        "since_ms": int(moment.timestamp() * 1000) if moment else 0,
        "rules": None if everything else RULES_VERSION,
    }


def _date(text: str) -> str:
    from datetime import date

    date.fromisoformat(text)  # ValueError: argparse says so
    return text


def _broker_files(config: CloudConfig, arguments: argparse.Namespace) -> int:
    import signal
    import threading

    from cloud import broker_files
    from cloud.admin_door import Refused
    from cloud.store.database import Busy, StoreAway

    folder = Path(arguments.dir)
    try:
        if not arguments.watch:
            print(broker_files.write(config, folder))
            return 0
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        broker_files.watch(config, folder, arguments.reload, stopping)
    except (Refused, Busy, StoreAway, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _copy(config: CloudConfig, arguments: argparse.Namespace) -> int:
    from cloud.admin_door import Refused
    from cloud.backup import backup, restore
    from cloud.store.database import Busy

    try:
        print((backup if arguments.command == "backup" else restore)(config, Path(arguments.file)))
    except (Refused, Busy, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tillwire-cloud", description="The cloud service of Tillwire.")
    parser.add_argument("--config", required=True, metavar="FILE", help="cloud.toml")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("all", help="everything in one process (the default)")
    commands.add_parser("web", help="pages and API only")
    commands.add_parser("ingest", help="taking in and sending out only")

    for word, text in (
        ("backup", "copy the SQLite database to FILE, also while the service runs"),
        ("restore", "put FILE in the place of the SQLite database; the service must not run"),
    ):
        commands.add_parser(word, help=text).add_argument("file", metavar="FILE")

    files = commands.add_parser("broker-files", help="write what mosquitto or NATS must know of the boxes into DIR")
    files.add_argument("dir", metavar="DIR")
    files.add_argument("--watch", action="store_true", help="go on, and write again when a box comes, goes or changes")
    files.add_argument("--reload", default="", metavar="COMMAND", help="run this after each writing of --watch")

    def group(name: str, text: str) -> Any:
        return commands.add_parser(name, help=text).add_subparsers(dest="what", required=True, metavar="WHAT")

    parts = group("merchant", "who owns boxes")
    merchant = parts.add_parser("add", help="a merchant, and who logs in first")
    merchant.add_argument("name")
    merchant.add_argument("--user", required=True, help="what is typed at log-in")
    merchant.add_argument("--role", default="owner", choices=("owner", "staff", "readonly"))
    merchant.add_argument("--password-stdin", action="store_true", help="the password is the first line of stdin")
    kept = parts.add_parser("keep", help="how long their receipts are kept; without days: tell")
    kept.add_argument("merchant", help="name or id")
    kept.add_argument("--receipts-days", type=int, metavar="N", help="all that is on a receipt; 0: as [keep] says")
    kept.add_argument("--raw-days", type=int, metavar="N", help="the bytes of the paper; 0: as [keep] says")
    keys = group("key", "API keys")
    keys.add_parser("list", help="a merchant's keys: id, label, scopes").add_argument("merchant", help="name or id")
    keys.add_parser("revoke", help="a key stops working within a second").add_argument("key", help="its id, or itself")
    key = keys.add_parser("add", help="print a new key (last line of stdout)")
    key.add_argument("merchant", help="name or id")
    key.add_argument("--label", default="")
    key.add_argument("--scope", action="append", dest="scopes", metavar="SCOPE", help="default: all")
    program = group("client", "programs that merchants may let in by OAuth 2.0")
    new = program.add_parser("add", help="print its client_id, and its secret (last line of stdout)")
    new.add_argument("name", help="what merchants read when they are asked")
    new.add_argument("--redirect", action="append", required=True, metavar="URI", help="where answers go; one or more")
    new.add_argument("--public", action="store_true", help="it cannot keep a secret: an app, a page")
    new.add_argument("--merchant", help="only this merchant may let it in; else all")
    program.add_parser("list", help="all of them: client_id, name")
    program.add_parser("revoke", help="it and all that it was granted end").add_argument("client", help="its client_id")
    again = commands.add_parser("reread", help="read receipts again with the rules of this version")
    again.add_argument("--merchant", help="name or id; else all")
    again.add_argument("--since", type=_date, metavar="DATE", help="those that came since then, YYYY-MM-DD (UTC)")
    again.add_argument("--all", action="store_true", help="also those that were read with these rules already")
    gone = commands.add_parser("erase", help="take a person's name, number and notes out of their orders")
    gone.add_argument("--phone", required=True)
    gone.add_argument("--merchant", help="name or id; else all")
    box = group("box", "boxes")
    add = box.add_parser("add", help="print a new box's broker password (last line of stdout); again: a new password")
    add.add_argument("merchant", help="name or id")
    add.add_argument("box", help="its id, for example shop42-front")
    box.add_parser("revoke", help="the box may not connect any more").add_argument("box")
    rotate = box.add_parser("rotate", help="the box makes another password by itself; the old one ends")
    rotate.add_argument("box")
    update = box.add_parser("update", help="the box fetches a signed release and installs it in its quiet hours")
    update.add_argument("box")
    for name, what in (("version", "its version"), ("sha256", "of the file"), ("url", "https://, its .sig beside it")):
        update.add_argument(f"--{name}", required=True, help=what)
    box.add_parser("list", help="all of them: id, merchant, on line, last heard of, revoked")
    claim = group("claim", "how a box comes to a merchant by itself")
    code = claim.add_parser("new", help="print a code for one box, good for 24 hours (last line of stdout)")
    code.add_argument("merchant", help="name or id")
    code.add_argument("--box", help="a box of theirs that is to get a new password, in place of a new box")
    crm = group("crm", "CRMs from which customers come by themselves; they are connected in the console")
    crm.add_parser("list", help="each, and how its last reading went")
    crm.add_parser("sync", help="read a merchant's now").add_argument("merchant", help="name or id")
    channel = group("channel", "where orders come from").add_parser("set", help="a merchant's rule for a channel")
    channel.add_argument("merchant")
    channel.add_argument("channel")
    channel.add_argument("--auto-accept", required=True, choices=("yes", "no"))
    trail = group("audit", "who did what")
    whole = trail.add_parser("check", help="tell whether an entry was changed or removed, also against the anchors")
    now = trail.add_parser("anchor", help="write the log's last number and hash to the file of anchors, now")
    now.add_argument("--restored", action="store_true", help="the database is a backup of before")
    for part in (whole, now):
        part.add_argument("--anchors", metavar="FILE", help="another file than [keep] audit_anchors")
    listing = group("order", "orders").add_parser("list", help="the latest")
    listing.add_argument("--limit", type=int, default=50)
    return parser


if __name__ == "__main__":
    sys.exit(main())
