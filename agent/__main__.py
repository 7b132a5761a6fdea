"""tillwire-agent --config FILE: everything on the box that understands. Runs in the foreground; SIGTERM ends it."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys

from config import last_good
from config.load import ConfigError


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="tillwire-agent", description="Reads receipts, carries them to the cloud, prints orders."
    )
    parser.add_argument("--config", required=True, metavar="FILE", help="agent.toml of this box")
    arguments = parser.parse_args()
    try:
        box, wrong = last_good.load_or_last_good(arguments.config)
    except ConfigError as error:
        print(error, file=sys.stderr)
        sys.exit(78)
    logging.basicConfig(
        level=box.log.level.upper(),
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
        force=True,
    )
    if wrong is not None:
        last_good.say(arguments.config, wrong)
    from agent.daemon import Agent

    async def run() -> bool:
        agent = Agent(box, wrong.problems if wrong else [], config=arguments.config)
        await agent.run()
        return agent.store.damaged

    sys.exit(1 if asyncio.run(run()) else 0)


if __name__ == "__main__":
    main()
