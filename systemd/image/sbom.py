"""What is in the image, as SPDX 2.3: sbom.py TREE LOCK VERSION. Debian's packages from the tree's own list, Python's
from the lock with the hashes that were checked."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LOCKED = re.compile(r"^([a-z0-9-]+)==([^ ;\\]+)")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def debian(status: str) -> Iterator[dict[str, Any]]:
    for paragraph in status.strip().split("\n\n"):
        found = dict(re.findall(r"^(Package|Version|Architecture|Source|Homepage): (.+)$", paragraph, re.M))
        if "Status: install ok" not in paragraph:
            continue
        yield package(
            found["Package"], found["Version"],
            f"pkg:deb/debian/{found['Package']}@{found['Version']}?arch={found['Architecture']}&distro=bookworm",
        )  # fmt: skip


def python(lock: str) -> Iterator[dict[str, Any]]:
    for block in re.split(r"\n(?=[a-z0-9])", lock):
        if found := LOCKED.match(block):
            if "sys_platform == 'win32'" in block.split("\n")[0]:
                continue
            one = package(found[1], found[2], f"pkg:pypi/{found[1]}@{found[2]}")
            one["comment"] = "any of these archives: " + " ".join(HASH.findall(block))
            yield one


def package(name: str, version: str, purl: str) -> dict[str, Any]:
    kind = purl.split("/")[0].removeprefix("pkg:")
    return {
        "SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", f"{kind}-{name}-{version}"),
        "name": name,
        "versionInfo": version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl", "referenceLocator": purl}],
    }


def main() -> None:
    tree, lock, version = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH", "0"))))
    packages = [*debian((tree / "var/lib/dpkg/status").read_text()), *python(lock.read_text())]
    document = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"tillwire-{version}-arm64.img",
        "documentNamespace": f"https://tillwire.invalid/spdx/{version}",
        "creationInfo": {"created": made, "creators": ["Tool: systemd/image/sbom.py"]},
        "packages": packages,
        "relationships": [
            {"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": p["SPDXID"]}
            for p in packages
        ],
    }
    json.dump(document, sys.stdout, indent=1)


if __name__ == "__main__":
    main()
