"""tillwire-agent --config FILE: everything on the box that understands. Runs in the foreground; SIGTERM ends it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys

from config.box import load_box
from config.load import ConfigError


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="tillwire-agent", description="Reads receipts, carries them to the cloud, prints orders."
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="agent.toml of this box")
    arguments = parser.parse_args()
    try:
        box = load_box(arguments.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(78)
    logging.basicConfig(
        level=box.log.level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        force=True,
    )
    from agent.daemon import Agent

    async def run() -> bool:
        agent = Agent(box)
        await agent.run()
        return agent.store.damaged

    sys.exit(1 if asyncio.run(run()) else 0)


if __name__ == "__main__":
    main()
