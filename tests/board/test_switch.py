"""The switch between releases, killed at every step; and what it refuses. The real script, in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

BOARD = Path(__file__).parents[2] / "systemd" / "board"
FILES = 5
STEPS = ("tar", "mv", "ln", "cp", "rm", "mkdir", "sync", "head", "find")
# Kills the whole switch, as a power cut would, before its step number KILL_AT; where HALF is set and the step unpacks,
# in the middle of it.
STEP = """#!/bin/sh
n=$(($(cat "$STEP_FILE") + 1))
echo $n >"$STEP_FILE"
echo "$*" >"$STEP_FILE.was"
if [ "$n" = "$KILL_AT" ]; then
    case $HALF$*$(echo) in
    yes*-C*-xf*) for last; do :; done; head -c "$(($(wc -c <"$last") / 2))" "$last" | {real} -C "$2" -xz 2>/dev/null ;;
    esac
    kill -9 0
fi
exec {real} "$@"
"""

pytestmark = pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("dpkg", "openssl")), reason="the switch is for Debian: needs dpkg, openssl"
)


class Top:
    """/opt/tillwire of a box, with releases that are small but have the shape of real ones."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.top = folder, folder / "top"
        self.top.mkdir(parents=True)
        self.key = folder / "keys" / "update.key"
        subprocess.run(["sh", BOARD / "sign", "keys", folder / "keys"], check=True, capture_output=True)
        self.env = {
            "PATH": os.environ["PATH"], "TILLWIRE_TOP": str(self.top), "TILLWIRE_SETTINGS": str(folder / "none"),
            "TILLWIRE_UPDATE_KEY": str(folder / "keys" / "update.pub"),
        }  # fmt: skip

    def release(self, version: str, *, platform: str = "deb12 amd64", sign: Path | None = None) -> Path:
        """A signed release of a few files, each of which tells its version."""
        path = self.folder / f"tillwire_{version}_{platform.replace(' ', '_')}.tar.gz"
        files = {"VERSION": version, "FOR": platform, "relay.sha256": "same", "bin/tillwire": "#!/bin/sh\nexit 0\n"}
        files |= {f"lib/module{n}.py": f"{version} {n} " * 500 for n in range(FILES)}
        with tarfile.open(path, "w:gz") as tar:
            for name, text in files.items():
                info = tarfile.TarInfo(f"./{name}")
                info.size, info.mode = len(text), 0o755
                tar.addfile(info, BytesIO(text.encode()))
        subprocess.run(["sh", BOARD / "sign", path, sign or self.key], check=True, capture_output=True)
        return path

    def switch(self, *arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", BOARD / "switch", *arguments], env=self.env | env, capture_output=True, text=True, timeout=60,
            start_new_session=True, check=False,
        )  # fmt: skip

    def runs(self) -> str:
        """The release that runs; AssertionError where it is not whole."""
        current = self.top / "current"
        version = (current / "VERSION").read_text().strip()
        assert current.readlink().name == version
        for n in range(FILES):
            assert (current / f"lib/module{n}.py").read_text() == f"{version} {n} " * 500
        assert (current / "bin/tillwire").exists()
        return version

    def result(self) -> str:
        return (self.top / "result").read_text().strip()


@pytest.fixture
def box(tmp_path: Path) -> Top:
    box = Top(tmp_path / "box")
    assert box.switch("install", box.release("1.0.0")).returncode == 0
    assert box.runs() == "1.0.0"
    return box


@pytest.fixture
def steps(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Every program that changes something, with a counter before it."""
    folder = tmp_path / "steps"
    folder.mkdir()
    for name in STEPS:
        (folder / name).write_text(STEP.replace("{real}", shutil.which(name) or name))
        (folder / name).chmod(0o755)
    yield {"PATH": f"{folder}:{os.environ['PATH']}", "STEP_FILE": str(tmp_path / "step")}


@pytest.mark.covers("F60")
@pytest.mark.timeout(900)
@pytest.mark.parametrize("verb", ["update", "apply", "again"])
def test_killed_at_every_step_the_old_or_the_new_one_runs(tmp_path: Path, steps: dict[str, str], verb: str) -> None:
    template = Top(tmp_path / "template")
    first, second = template.release("1.0.0"), template.release("1.1.0")
    template.switch("install", first)
    seen, kills = set(), 0
    for at in range(1, 200):
        for half in ("", "yes"):
            if half and " -xf " not in Path(f"{steps['STEP_FILE']}.was").read_text():
                continue  # only what unpacks has a middle
            shutil.rmtree(tmp_path / "run", ignore_errors=True)
            shutil.copytree(template.top, tmp_path / "run", symlinks=True)
            template.top, real = tmp_path / "run", template.top
            template.env["TILLWIRE_TOP"] = str(template.top)
            asked = tmp_path / "asked"
            shutil.rmtree(asked, ignore_errors=True)
            asked.mkdir()
            for file, name in ((second, "release.tar.gz"), (Path(f"{second}.sig"), "release.tar.gz.sig")):
                shutil.copy(file, asked / name)
            (asked / "go").touch()
            command = {"update": ("update", second), "apply": ("apply", asked), "again": ("install", first)}[verb]
            Path(steps["STEP_FILE"]).write_text("0")
            done = template.switch(*command, **steps, KILL_AT=str(at), HALF=half)
            killed = done.returncode == -9
            kills += killed
            seen.add(template.runs())  # whole, at once
            assert template.switch("boot").returncode == 0  # the machine starts again
            seen.add(template.runs())
            assert template.switch(*command).returncode == 0 or template.runs() == "1.1.0"
            assert template.runs() == ("1.0.0" if verb == "again" else "1.1.0")
            template.top = real
            template.env["TILLWIRE_TOP"] = str(real)
        if not killed:
            break
    assert kills >= 15, "the steps were not found"
    assert seen == ({"1.0.0"} if verb == "again" else {"1.0.0", "1.1.0"})


@pytest.mark.covers("F61")
def test_a_release_that_began_three_times_and_was_never_well_goes(box: Top, steps: dict[str, str]) -> None:
    bad = box.release("1.1.0")
    at = 0
    while not (box.top / "trial").exists() or box.runs() == "1.0.0":  # cut off just after the switch
        at += 1
        Path(steps["STEP_FILE"]).write_text("0")
        box.switch("update", bad, **steps, KILL_AT=str(at), HALF="")
    assert box.runs() == "1.1.0"
    for expected in ("1.1.0", "1.1.0", "1.0.0"):
        box.switch("boot")
        assert box.runs() == expected
    assert box.result() == "1.1.0 back began three times and was never well; 1.0.0 runs again"
    box.switch("boot")
    assert box.runs() == "1.0.0"


@pytest.mark.covers("A54")
@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("unsigned", "without a signature"), ("by somebody else", "refused"), ("truncated", "refused"),
        ("one bit", "refused"), ("older", "is not newer than 1.0.0"), ("the same", "is not newer than 1.0.0"),
        ("other machine", "it is for deb12 arm64, this box is deb12 amd64"), ("no key", "no updates but by apt"),
    ],
)  # fmt: skip
def test_what_is_refused(box: Top, tmp_path: Path, what: str, says: str) -> None:
    version = {"older": "0.9.9", "the same": "1.0.0"}.get(what, "1.1.0")
    if what == "by somebody else":
        update = box.release(version, sign=Top(tmp_path / "other").key)
    else:
        update = box.release(version, platform="deb12 arm64" if what == "other machine" else "deb12 amd64")
    data = update.read_bytes()
    if what == "truncated":
        update.write_bytes(data[:-100])
    elif what == "one bit":
        half = len(data) // 2
        update.write_bytes(data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :])
    elif what == "unsigned":
        Path(f"{update}.sig").unlink()
    elif what == "no key":
        Path(box.env["TILLWIRE_UPDATE_KEY"]).unlink()
    done = box.switch("update", update)
    assert done.returncode != 0
    assert says in done.stderr
    assert box.runs() == "1.0.0"
    assert not (box.top / "trial").exists()


@pytest.mark.covers("A54")
def test_what_the_agent_asks_for_is_copied_before_it_is_checked(box: Top, tmp_path: Path) -> None:
    """The folder is the agent's: a link in it leads nowhere, and a refusal is told."""
    asked = tmp_path / "asked"
    asked.mkdir()
    update = box.release("1.1.0")
    (asked / "release.tar.gz").symlink_to(update)
    (asked / "release.tar.gz.sig").symlink_to(f"{update}.sig")
    (asked / "go").touch()
    box.switch("apply", asked)
    assert box.runs() == "1.0.0"
    assert box.result().startswith("- refused release.tar.gz.sig is not there")
    assert not (asked / "go").exists()
    shutil.copy(update, tmp_path / "real")
    for name, source in (("release.tar.gz", update), ("release.tar.gz.sig", Path(f"{update}.sig"))):
        (asked / name).unlink()
        shutil.copy(source, asked / name)
    box.switch("apply", asked)
    assert box.runs() == "1.1.0"
    assert box.result() == "1.1.0 runs"


def test_only_two_releases_stay(box: Top) -> None:
    for version in ("1.1.0", "1.2.0", "1.3.0"):
        assert box.switch("update", box.release(version)).returncode == 0
    assert sorted(path.name for path in (box.top / "releases").iterdir()) == ["1.2.0", "1.3.0"]
    assert box.switch("back").returncode == 0
    assert box.runs() == "1.2.0"
