"""agent/clips.py: a merchant's own sounds come in one message, are kept under names made here, and are played first."""

from __future__ import annotations

import hashlib
import wave
from pathlib import Path

import pytest

from agent.clips import LONGEST, MOST, Clips
from agent.player import SHIPPED, Player
from config.box import Alerts

DATA = bytes(range(256)) * 20


@pytest.mark.covers("A52")
def test_what_is_brought_is_kept_under_a_name_of_ours_and_played_first(tmp_path: Path) -> None:
    shop, clips = tmp_path / "shop", Clips(tmp_path / "state" / "clips")
    shop.mkdir()
    (shop / "new_order.wav").write_bytes((SHIPPED / "cancelled.wav").read_bytes())
    player = Player(Alerts(sounds_dir=str(shop)), clips=clips)
    assert clips.held() == {}
    assert player.path("fault") == SHIPPED / "fault.wav"
    clips.keep("fault", DATA)
    digest = hashlib.sha256(DATA).hexdigest()[:16]
    assert clips.held() == {"fault": digest}
    assert [path.name for path in clips.folder.iterdir()] == [f"fault.{digest}.wav"]
    with wave.open(str(player.path("fault"))) as sound:
        assert (sound.getframerate(), sound.getsampwidth(), sound.getnframes()) == (16_000, 2, len(DATA))
    assert player.path("fault_paper") == clips.files()["fault"]  # the shipped one is not for this shop
    assert player.path("new_order_takeaway") == shop / "new_order.wav"  # and not one for faults
    assert player.path("offline") == SHIPPED / "offline.wav"
    assert player.path("unheard_of") == clips.files()["fault"]
    clips.keep("fault", DATA[::-1])
    assert list(clips.held()) == ["fault"]
    assert len(list(clips.folder.iterdir())) == 1
    clips.remove("fault")
    clips.remove("fault")
    assert clips.held() == {}
    assert player.path("fault") == SHIPPED / "fault.wav"


@pytest.mark.covers("A52")
@pytest.mark.parametrize("event", ["", "../../etc/passwd", "a/b", "a.b", "*", "FAULT", "x" * 41, "fault\n"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, event: str) -> None:
    clips = Clips(tmp_path / "clips")
    with pytest.raises(ValueError, match="event"):
        clips.keep(event, DATA)
    kept = tmp_path / "clips" / "fault.0123456789abcdef.wav"
    kept.parent.mkdir()
    kept.write_bytes(b"")
    clips.remove(event)
    assert kept.exists()


@pytest.mark.covers("A52")
def test_a_box_keeps_no_more_than_it_should(tmp_path: Path) -> None:
    clips = Clips(tmp_path / "clips")
    for data in (b"", bytes(LONGEST + 1)):
        with pytest.raises(ValueError, match="samples"):
            clips.keep("fault", data)
    for n in range(MOST):
        clips.keep("x" * (n + 1), b"\x00" * 100)
    with pytest.raises(ValueError, match="at most"):
        clips.keep("fault", DATA)
    clips.keep("x", DATA)  # in place of one that is there
    assert len(clips.held()) == MOST


def test_a_damaged_file_gives_way_to_the_shipped_one(tmp_path: Path) -> None:
    clips = Clips(tmp_path / "clips")
    clips.keep("fault", DATA)
    clips.files()["fault"].write_bytes(b"")
    assert Player(Alerts(), clips=clips).path("fault") == SHIPPED / "fault.wav"
