"""A picture that somebody sent: what they see of it, and what the network sees."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from sign_cnn.images.image_files import open_image
from sign_cnn.images.preprocessing import as_grey, prepare, upright
from sign_cnn.letters import LETTERS

MAX_BYTES = 5 * 2**20
"""Largest file that is read; the uploader and .streamlit/config.toml say the same."""

MAX_PIXELS = 25_000_000
"""Most pixels that are decoded: 75 MB in colour, which a free host of 1 GB bears."""

PREVIEW_SIZE = 320
"""Side of the preview, in pixels."""

Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in percent of the upright picture's width and height."""

WHOLE: Box = (0, 0, 100, 100)
GALLERY = Path(__file__).with_name("gallery")


@dataclass(frozen=True)
class Look:
    """One picture."""

    pixels: NDArray[np.uint8]  # (28, 28), 0..255, what the network sees
    preview: Image.Image  # square, transparent beside the upright picture, with the crop box drawn in


def look(content: bytes, name: str, box: Box = WHOLE, *, invert: bool = False, mirror: bool = False) -> Look:
    """Reads the bytes of a picture file.

    Args:
        content: The file.
        name: What error messages call it.
        box: Part to keep.
        invert: Whether to swap dark and light.
        mirror: Whether to swap left and right.

    Raises:
        DataError: The file is empty, too large, damaged or no picture.
    """
    image = open_image(content, name=name, max_bytes=MAX_BYTES, max_pixels=MAX_PIXELS)
    shown = upright(as_grey(image, name).convert("RGB") if image.mode != "RGB" else image, image)
    crop = _in_pixels(box, shown.size)
    pixels = prepare(image, crop=None if box == WHOLE else crop, invert=invert, mirror=mirror, name=name)
    return Look(pixels, _preview(shown, None if box == WHOLE else crop))


def samples() -> dict[str, bytes]:
    """The drawn hands, PNG files by letter."""
    return {letter: (GALLERY / f"{letter}.png").read_bytes() for letter in LETTERS}


def _preview(shown: Image.Image, crop: Box | None) -> Image.Image:
    scale = PREVIEW_SIZE / max(shown.size)
    small = shown.resize((max(1, round(shown.width * scale)), max(1, round(shown.height * scale))))
    if crop:
        left, top, right, bottom = (round(edge * scale) for edge in crop)
        edges = left, top, max(right - 1, left), max(bottom - 1, top)
        for colour, width in (("white", 6), ("crimson", 4)):
            ImageDraw.Draw(small).rectangle(edges, outline=colour, width=width)
    square = Image.new("RGBA", (PREVIEW_SIZE, PREVIEW_SIZE))
    square.paste(small, ((PREVIEW_SIZE - small.width) // 2, (PREVIEW_SIZE - small.height) // 2))
    return square


def _in_pixels(box: Box, size: tuple[int, int]) -> Box:
    """The box in pixels, one wide and one high at least."""
    (left, top, right, bottom), (width, height) = box, size
    x, y = min(width * left // 100, width - 1), min(height * top // 100, height - 1)
    return x, y, max(width * right // 100, x + 1), max(height * bottom // 100, y + 1)
