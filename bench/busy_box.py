"""A whole box at work: broker, cloud, relay and agent, and a second till that prints all the time. For bench/relay.py.

busy_box.py FOLDER POS_PORT PRINTER_PORT: what the harness measures goes through POS_PORT to PRINTER_PORT; the second
till prints on a printer of its own (a file), so that only the box is shared.
"""

from __future__ import annotations

import random
import signal
import sys
import time
from pathlib import Path

from tests.simulators.system import System, free_port
from tests.simulators.till import connect, receipt


def main() -> None:
    folder, pos_port, printer_port = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    second = free_port()
    system = System(
        folder / "box",
        printers={"main": f"tcp://127.0.0.1:{printer_port}", "other": f"file://{folder}/paper.prn"},
        pos={"till": f"tcp://127.0.0.1:{pos_port}", "second": f"tcp://127.0.0.1:{second}"},
        box={"pos.second": {"url": f"tcp://127.0.0.1:{second}", "printer": "other"}},
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        system.set_up()
        system.start()
        till, rng, number = connect(f"tcp://127.0.0.1:{second}"), random.Random(1), 0
        while True:
            number += 1
            till.send(receipt(number, rng).raw)
            time.sleep(0.1)
    finally:
        system.close()


if __name__ == "__main__":
    main()
