"""Videos, read and drawn with PyAV, and the hand in each of their frames."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageDraw, ImageFont
from rich.console import Console
from rich.progress import track as progress

from sign_cnn.errors import DataError, UserError
from sign_cnn.files import atomic_write
from sign_cnn.hands.finder import Hand, HandFinder, HandTracker
from sign_cnn.inputs import draw_skeleton

MAX_RATE = 33.0  # frames a second; of faster videos, frames are left out
MAX_SIDE = 1280  # pixels; larger frames are made smaller
LONG = 10.0  # seconds of a video, from which on a progress bar is shown


class Clip(NamedTuple):
    """The hand in each frame of a video."""

    name: str
    seconds: list[float]  # from the first frame on, ascending
    hands: list[Hand | None]


def read_frames(path: Path) -> Iterator[tuple[float, Image.Image]]:
    """Decode a video, with a progress bar on stderr if it is long.

    Args:
        path: A file of any format that FFmpeg reads.

    Yields:
        Seconds from the first frame on, and the upright frame in RGB; at most `MAX_RATE` a second,
        and at most `MAX_SIDE` pixels wide and high.

    Raises:
        DataError: If the file is missing or damaged, or has no video.
        UserError: If PyAV is not installed.
    """
    av, console = _import_av(), Console(stderr=True)
    start = last = None
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path} has no video: give a recording of a hand")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            rate = float(stream.average_rate or 30)
            length = (container.duration or 0) / av.time_base
            quiet = length < LONG or not console.is_terminal
            options: Any = {"console": console, "transient": True, "disable": quiet}
            frames = progress(container.decode(stream), path.name, length * rate, **options)
            for number, frame in enumerate(frames):
                time = number / rate if frame.time is None else frame.time
                start = time if start is None else start
                if last is None or time >= last + 1 / MAX_RATE:
                    last = time
                    yield time - start, _upright(frame)
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except (av.FFmpegError, OSError) as error:
        text = f"{path} cannot be read as a video ({error.strerror})"
        raise DataError(f"{text}: record it again, or convert it to MP4") from None
    if last is None:
        raise DataError(f"{path} has no frame: record it again")


def track(path: Path, finder: HandFinder | None = None) -> Clip:
    """Find the hand in each frame of a video, from frame to frame.

    Args:
        path: The video.
        finder: Finds the hand; made by default.

    Returns:
        The time of each frame, and the hand in it.

    Raises:
        DataError: If the video cannot be read.
        UserError: If PyAV or the finder's weights are missing.
    """
    tracker, seconds, hands = HandTracker(finder or HandFinder()), [], []
    for time, frame in read_frames(path):
        seconds.append(time)
        hands.append(tracker(frame))
    return Clip(path.name, seconds, hands)


def draw_video(path: Path, clip: Clip, caption: Callable[[float], str], output: Path) -> None:
    """Write a video again, with the skeleton of the hand and a caption in each frame.

    Args:
        path: The video.
        clip: Result of `track`.
        caption: Returns the text for a time in seconds.
        output: An MP4 file to write.

    Raises:
        DataError: If the video cannot be read.
        UserError: If PyAV is not installed.
    """
    av = _import_av()
    with atomic_write(output) as temporary, av.open(str(temporary), "w", format="mp4") as container:
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream: Any = None
        for (time, frame), hand in zip(read_frames(path), clip.hands, strict=True):
            if stream is None:
                stream = container.add_stream(codec, rate=30)
                stream.width, stream.height = (length // 2 * 2 for length in frame.size)
                stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 1000)
            image = draw_skeleton(frame, hand.landmarks[:, :2]) if hand else frame
            font = ImageFont.load_default(image.height / 10)
            place = (image.width / 2, image.height * 0.97)
            pen = ImageDraw.Draw(image)
            pen.text(place, caption(time), "white", font, "ms", stroke_width=3, stroke_fill="black")
            drawn = av.VideoFrame.from_image(image.crop((0, 0, stream.width, stream.height)))
            drawn.pts, drawn.time_base = round(1000 * time), Fraction(1, 1000)
            container.mux(stream.encode(drawn))
        container.mux(stream.encode())


def _upright(frame: Any) -> Image.Image:
    scale = min(1.0, MAX_SIDE / max(frame.width, frame.height))
    size = [max(1, round(scale * length)) for length in (frame.width, frame.height)]
    image: Image.Image = frame.to_image(width=size[0], height=size[1])
    return image.rotate(90 * round(frame.rotation / 90), expand=True)


def _import_av() -> Any:
    try:
        import av
    except ImportError:
        raise UserError('a video needs PyAV: pip install -e ".[video]"') from None
    return av
