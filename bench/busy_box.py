"""A box that has other things to do, beside the till that the harness plays. For bench/relay.py and relay_loads.py.

busy_box.py FOLDER POS_PORT PRINTER_PORT [LOAD]: what the harness measures goes through POS_PORT to PRINTER_PORT; a
second till prints on a printer of its own (a file), so that only the box is shared. LOAD is what goes on meanwhile:

receipts   a receipt every 100 ms, read by the agent and stored by the cloud
reading    one every 10 ms: the agent reads without pause
broker     receipts, and the broker hangs: it takes connections and says nothing
audio      receipts, and an alert whose player hangs
disk       the relay alone, every sync of whose disk takes 500 ms; a receipt every 50 ms, so that one is always running
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.simulators.system import System, free_port
from tests.simulators.till import connect, receipt

PAUSE_S = {"reading": 0.01, "disk": 0.05}
SLOW_MS = 500
HANGS = "#!/bin/sh\nexec sleep 1000\n"


def main() -> None:
    folder, pos_port, printer_port, load = (
        Path(sys.argv[1]),
        sys.argv[2],
        sys.argv[3],
        (sys.argv[4:] or ["receipts"])[0],
    )
    second = f"tcp://127.0.0.1:{free_port()}"
    printers = {"main": f"tcp://127.0.0.1:{printer_port}", "other": f"file://{folder}/paper.prn"}
    env: dict[str, str] = {}
    if load == "audio":
        printers["away"] = f"tcp://127.0.0.1:{free_port()}"  # what the alert is about
        env = hanging_player(folder)
    system = System(
        folder / "box",
        printers=printers,
        pos={"till": f"tcp://127.0.0.1:{pos_port}", "second": second},
        box={
            "pos.second": {"url": second, "printer": "other"},
            "printer.main": {"model": "generic"},  # where nobody has named it, the agent would ask it once
            # While an alert rings the printer is asked for its feed button, which the harness' printer cannot bear.
            "alerts": {"sound": load == "audio", "feed_button": False},
        },
        broker="nats" if load == "broker" else "embedded",
        env=env,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        if load == "disk":
            system.inside["relay"] = ["env", f"LD_PRELOAD={slow_disk(folder)}", f"SLOW_SYNC_MS={SLOW_MS}"]
            system.start("relay")
        else:
            system.set_up()
            system.start()
        till, rng, number = connect(second), random.Random(1), 0
        while True:
            number += 1
            till.send(receipt(number, rng).raw)
            time.sleep(PAUSE_S.get(load, 0.1))
            if load == "broker" and number == 20:
                os.kill(system.running["broker"].pid, signal.SIGSTOP)
    finally:
        if load == "broker" and "broker" in system.running:
            os.kill(system.running["broker"].pid, signal.SIGCONT)
        system.close()


def slow_disk(folder: Path) -> Path:
    library = folder / "slow_sync.so"
    source = Path(__file__).with_name("slow_sync.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source)], check=True)
    return library


def hanging_player(folder: Path) -> dict[str, str]:
    """simpleaudio and aplay as they are with a sound card that hangs."""
    (folder / "simpleaudio.py").write_text("import time\ntime.sleep(1000)\n")
    aplay = folder / "aplay"
    aplay.write_text(HANGS)
    aplay.chmod(0o755)
    # No empty part: it would be the folder the process is in.
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "PATH")}
    return {name: f"{folder}:{was}" if was else str(folder) for name, was in before.items()}


if __name__ == "__main__":
    main()
