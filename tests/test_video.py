"""Videos, as they are read, drawn and measured; made here with PyAV."""

import struct
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from fake_finder import SAMPLES
from PIL import Image
from video_files import write_video

from sign_cnn.errors import DataError
from sign_cnn.hands import landmarks
from sign_cnn.hands.finder import Hand, HandFinder, HandTracker
from sign_cnn.hands.landmarks import read_clips
from sign_cnn.hands.video import draw_video, read_frames, track
from sign_cnn.images import open_image

av = pytest.importorskip("av")


class GreyFinder(HandFinder):
    """Finds sample hand n in a frame of grey 10 n + 10, which survives compression; 0 has none."""

    def __init__(self) -> None: ...

    def _find(self, picture: Image.Image, border: float) -> Hand | None:
        number = round(np.asarray(picture.convert("L")).mean() / 10)
        return Hand(SAMPLES[number - 1] * 50 + 100, "left") if number else None

    def _read(self, picture: Image.Image, box: np.ndarray) -> Hand | None:
        return self._find(picture, 0)


def greys(*numbers: int, size: tuple[int, int] = (320, 240)) -> list[Image.Image]:
    return [Image.new("RGB", size, (10 * n,) * 3) for n in numbers]


def test_frames_have_times_from_the_first_one_on(tmp_path: Path):
    frames = list(read_frames(write_video(tmp_path / "a.mp4", greys(*range(10)), rate=10)))
    assert [time for time, _ in frames] == pytest.approx(np.arange(10) / 10)
    assert frames[0][1].size == (320, 240)
    assert [round(np.asarray(frame).mean() / 10) for _, frame in frames] == list(range(10))


@pytest.mark.parametrize(("rate", "kept"), [(25, 25), (30, 30), (50, 25), (60, 30), (120, 30)])
def test_of_fast_videos_frames_are_left_out(rate: int, kept: int, tmp_path: Path):
    path = write_video(tmp_path / "a.mp4", greys(*[5] * 2 * rate, size=(32, 32)), rate)
    assert len(list(read_frames(path))) == pytest.approx(2 * kept, abs=1)


def test_a_large_video_is_made_smaller(tmp_path: Path):
    path = write_video(tmp_path / "a.mp4", greys(3, size=(2560, 1440)))
    assert next(read_frames(path))[1].size == (1280, 720)


def test_the_video_of_a_phone_held_upright_is_turned(tmp_path: Path):
    image = Image.new("RGB", (320, 240))
    image.paste("white", (0, 0, 160, 120))  # at the top left, which a turn takes to the top right
    path = write_video(tmp_path / "a.mp4", [image] * 3)
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    one = 1 << 16
    content[place : place + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 240 * one, 0, 1 << 30)
    path.write_bytes(content)
    frame = next(read_frames(path))[1]
    assert frame.size == (240, 320)
    assert frame.getpixel((230, 10)) > (200, 200, 200)
    assert frame.getpixel((10, 10)) < (50, 50, 50)


def write_sound(path: Path) -> None:
    with av.open(str(path), "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))


def cut_in_half(path: Path) -> None:
    write_video(path, greys(*[5] * 30))
    path.write_bytes(path.read_bytes()[:500])


@pytest.mark.parametrize(
    "write",
    [Path.touch, write_sound, cut_in_half, lambda path: path.write_text("no"), lambda _: None],
    ids=["empty", "sound", "half", "text", "missing"],
)
def test_a_file_that_is_no_video_is_refused_by_name(write, tmp_path: Path):
    write(tmp_path / "a.mp4")
    with pytest.raises(DataError, match=r"a\.mp4"):
        list(read_frames(tmp_path / "a.mp4"))


def test_the_table_of_a_video_is_read_again_as_the_same_clip(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("sign_cnn.hands.video.HandFinder", GreyFinder)
    path = write_video(tmp_path / "a.mp4", greys(0, 3, 4, 0))
    landmarks.main([str(path), str(tmp_path / "a.csv")])
    table = pd.read_csv(tmp_path / "a.csv")
    assert table["found"].tolist() == [0, 1, 1, 0]
    (clip,), tracked = read_clips(tmp_path / "a.csv"), track(path)
    assert (clip.name, clip.seconds) == ("a.mp4", pytest.approx(tracked.seconds, abs=1e-3))
    for read, hand in zip(clip.hands, tracked.hands, strict=True):
        assert (read is None) == (hand is None)
        assert read is None or np.allclose(read.landmarks, hand.landmarks, atol=0.01)


def test_a_drawn_video_has_hand_and_caption_in_each_frame(tmp_path: Path):
    path = write_video(tmp_path / "a.mp4", greys(0, 3, 3, 0))
    draw_video(path, track(path, GreyFinder()), lambda time: "AB" * (time > 0), tmp_path / "b.mp4")
    drawn = [np.asarray(frame).astype(int) for _, frame in read_frames(tmp_path / "b.mp4")]
    colourful = [(frame.max(2) - frame.min(2) > 60).sum() for frame in drawn]
    captions = [(frame[-50:].min(2) > 200).sum() for frame in drawn]
    assert (min(colourful[1:3]) > 200, max(colourful[0], colourful[3])) == (True, 0)
    assert (captions[0], min(captions[1:]) > 100) == (0, True)


@pytest.mark.hand_models
def test_a_hand_is_followed_without_looking_for_palms_until_it_is_lost(
    finder: HandFinder, hand_photos: Path, monkeypatch
):
    photo = open_image(next((hand_photos / "t32" / "B").iterdir()))
    palms = Mock(wraps=finder._detect_palms)
    monkeypatch.setattr(finder, "_detect_palms", palms)
    tracker, alone = HandTracker(finder), finder(photo)
    palms.reset_mock()
    hands = [tracker(photo.rotate(0, translate=(3 * n, 0))) for n in range(8)]
    assert palms.call_count == 1
    size = np.ptp(alone.landmarks[:, :2], axis=0).max()
    for number, hand in enumerate(hands):
        gap = np.linalg.norm((hand.landmarks - alone.landmarks)[:, :2] - [3 * number, 0], axis=1)
        assert np.median(gap) < 0.03 * size
    assert tracker(Image.new("RGB", photo.size)) is None
    assert tracker(photo)
    assert palms.call_count == 3
