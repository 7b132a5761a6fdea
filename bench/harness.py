"""Where the black-box harness lies (relay_bench.py, forward_bench.py), and how it is run.

It is kept beside the project (`../shared/bench`), not in it; HARNESS names another folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
FOLDER = Path(os.environ.get("HARNESS", ROOT.parent / "shared" / "bench"))


def run(script: str, *args: str) -> int:
    """The script's exit code; its tables go to the terminal."""
    path = FOLDER / script
    if not path.exists():
        print(f"{script} is not in {FOLDER}: set HARNESS to the folder that holds it")
        return 1
    return subprocess.call([sys.executable, str(path), *args], cwd=ROOT)


def write(path: Path, value: Any) -> str:
    path.write_text(json.dumps(value, indent=1))
    return str(path)
