"""tillwire-relay --config FILE: the print path of one box. Runs in the foreground; SIGTERM ends it.

Exit codes: 0 stopped · 1 another relay has the journal · 78 the configuration is wrong.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import sys

from config import last_good
from config.load import ConfigError

USAGE = "usage: tillwire-relay --config FILE"
CONFIG_WRONG = 78
SETTLED_S = 2.0  # after the start


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 2 or arguments[0] != "--config":
        print(USAGE, file=sys.stderr)
        return 2
    try:
        box, wrong = last_good.load_or_last_good(arguments[1])
    except ConfigError as error:
        print(error, file=sys.stderr)
        return CONFIG_WRONG
    logging.basicConfig(
        stream=sys.stderr, level=box.log.level.upper(), format="%(levelname)s %(name)s %(message)s", force=True
    )
    if wrong is not None:
        last_good.say(arguments[1], wrong)
    from relay.box import Relay
    from relay.journal import AlreadyRunning

    sys.setswitchinterval(0.0005)  # the journal thread must not keep the loop from a byte that is here
    try:
        relay = Relay(box, wrong.problems if wrong else [], config=arguments[1])
        relay.start()
        if wrong is None:
            last_good.keep(arguments[1], box)
    except AlreadyRunning as error:
        print(error, file=sys.stderr)
        return 1
    except (ConfigError, ValueError) as error:
        print(error, file=sys.stderr)
        return CONFIG_WRONG
    relay.loop.after(SETTLED_S, give_back)
    try:
        relay.run()
    finally:
        relay.close()
    return 0


def give_back() -> None:
    """What the start needed and nothing holds any more, to the kernel: a megabyte. What is left is never looked through
    for garbage again."""
    import ctypes

    gc.collect()
    gc.freeze()
    with contextlib.suppress(AttributeError):  # another C library than glibc
        ctypes.CDLL(None).malloc_trim(0)


if __name__ == "__main__":
    sys.exit(main())
