"""tillwire-cloud --config FILE [all|web|ingest], and the commands that set it up."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import Any

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
    logging.basicConfig(
        stream=sys.stderr, level=config.log.level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
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
    from cloud.store.database import Busy, StoreAway

    name = f"{arguments.command}_{arguments.what}"
    given: dict[str, Any] = {k: v for k, v in vars(arguments).items() if k not in ("config", "command", "what")}
    if given.pop("password_stdin", False):
        given["password"] = sys.stdin.readline().rstrip("\r\n")
    elif name == "merchant_add":
        import getpass

        given["password"] = getpass.getpass("password: ")
    if name == "channel_set":
        given["auto_accept"] = given["auto_accept"] == "yes"
    try:
        answer = admin.run(config, name, given)
    except (admin.Refused, Busy, StoreAway) as error:
        print(error, file=sys.stderr)
        return 1
    for row in answer.get("rows", []):
        print("  ".join("-" if value is None else str(value) for value in row.values()))
    if "merchant" in answer:
        print(f"merchant {answer['merchant']}, user {answer['user']}")
    if "secret" in answer:
        print("Keep this; it is not shown again:", file=sys.stderr)
        print(answer["secret"])
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tillwire-cloud", description="The cloud service of Tillwire.")
    parser.add_argument("--config", required=True, metavar="FILE", help="cloud.toml")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("all", help="everything in one process (the default)")
    commands.add_parser("web", help="pages and API only")
    commands.add_parser("ingest", help="taking in and sending out only")

    def group(name: str, text: str) -> Any:
        return commands.add_parser(name, help=text).add_subparsers(dest="what", required=True, metavar="WHAT")

    merchant = group("merchant", "who owns boxes").add_parser("add", help="a merchant, and who logs in first")
    merchant.add_argument("name")
    merchant.add_argument("--user", required=True, help="what is typed at log-in")
    merchant.add_argument("--role", default="owner", choices=("owner", "staff", "readonly"))
    merchant.add_argument("--password-stdin", action="store_true", help="the password is the first line of stdin")
    key = group("key", "API keys").add_parser("add", help="print a new key (last line of stdout)")
    key.add_argument("merchant", help="name or id")
    key.add_argument("--label", default="")
    key.add_argument("--scope", action="append", dest="scopes", metavar="SCOPE", help="default: all")
    box = group("box", "boxes")
    add = box.add_parser("add", help="print a new box's broker password (last line of stdout); again: a new password")
    add.add_argument("merchant", help="name or id")
    add.add_argument("box", help="its id, for example shop42-front")
    box.add_parser("revoke", help="the box may not connect any more").add_argument("box")
    box.add_parser("list")
    channel = group("channel", "where orders come from").add_parser("set", help="a merchant's rule for a channel")
    channel.add_argument("merchant")
    channel.add_argument("channel")
    channel.add_argument("--auto-accept", required=True, choices=("yes", "no"))
    group("audit", "who did what").add_parser("check", help="tell whether an entry was changed or removed")
    listing = group("order", "orders").add_parser("list", help="the latest")
    listing.add_argument("--limit", type=int, default=50)
    return parser


if __name__ == "__main__":
    sys.exit(main())
