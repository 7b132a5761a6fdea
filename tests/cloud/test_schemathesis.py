"""A29, A45: schemathesis tries what the OpenAPI document allows and what it forbids, on every operation."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.cloud.conftest import Cloud

# Not asked for: that all which a schema allows is taken. What a text may hold (no control characters), which addresses
# are called and which time zones exist, no JSON Schema can say.
NOT_ASKED = "positive_data_acceptance"


def tried(tmp_path: Path, examples: int) -> str:
    """-> the report. Fails where anything was found."""
    cloud = Cloud(tmp_path, extra="[ingest]\nreread = false\n")
    cloud.config.write_text(cloud.config.read_text().replace("[broker]", "api_rate = 100000\n[broker]", 1))
    cloud.start()
    try:
        with cloud.merchant("Corner Cafe", "anna") as client, closing(cloud.box("Corner Cafe", "cafe-front-1")) as box:
            box.status()
            box.capture()
            box.acked([1])
            command = [
                str(Path(sys.executable).with_name("schemathesis")),
                *(
                    "run",
                    f"{cloud.url}/v1/openapi.json",
                    "--header",
                    f"Authorization: {client.headers['authorization']}",
                ),
                *("--max-examples", str(examples), "--phases", "examples,coverage,fuzzing", "--seed", "1"),
                *("--checks", "all", "--exclude-checks", NOT_ASKED, "--continue-on-failure", "--no-color"),
                *("--suppress-health-check", "all", "--generation-database", ":memory:", "--request-timeout", "30"),
            ]
            done = subprocess.run(command, capture_output=True, text=True, timeout=3000, check=False, cwd=tmp_path)
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-1000:]
        assert "failed" not in [line for line in cloud.log.read_text().splitlines() if "cloud.api" in line]
        return done.stdout
    finally:
        cloud.close()


@pytest.mark.covers("A29", "A45")
def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    report = tried(tmp_path, 1)
    cases = re.search(r"(\d+) generated", report)
    assert cases is not None
    assert int(cases[1]) > 500


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_schemathesis_finds_nothing_in_a_long_search(tmp_path: Path) -> None:
    tried(tmp_path, 300)
