"""A picture file to decoded pixels, or one sentence that says why not."""

import os
import warnings
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO

from PIL import Image, UnidentifiedImageError

from sign_cnn.errors import DataError

PictureFile = str | os.PathLike[str] | bytes | IO[bytes]
"""A path, the bytes of a file, or a file open for reading."""

MAX_BYTES = 32 * 2**20
"""Largest file that is opened."""

MAX_PIXELS = 50_000_000
"""Most pixels that are decoded: a phone's 48-megapixel photograph passes, a decompression bomb does not."""

# Left out on purpose: formats that run a program to be read (EPS), that hold pictures larger than they say (ICO), and
# those that no camera or browser writes.
_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "JPEG2000", "GIF", "BMP", "DIB", "TIFF", "PPM")


def open_image(
    file: PictureFile, *, name: str | None = None, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """Decodes a picture of any common format, size and mode; of an animation, the first frame.

    Args:
        file: What to read.
        name: What error messages call the picture; by default its path.
        max_bytes: Largest file that is opened.
        max_pixels: Most pixels that are decoded.

    Raises:
        DataError: The file is missing, empty, too large, damaged or no picture.
    """
    called = name or name_of(file)
    content = _bytes_of(file, called, max_bytes)
    # Pillow warns of odd notes in files; what keeps it from reading the pixels is an error.
    with warnings.catch_warnings(action="ignore"):
        image = _opened(content, called, max_pixels)
        try:
            image.load()
        except Exception as error:  # decoders of broken files raise whatever they stumble upon
            raise DataError(f"{called} is damaged or cut short ({reason(error)}): save or copy it again") from None
    return image


def name_of(file: PictureFile) -> str:
    """What to call a picture of which nothing but the file is known."""
    if isinstance(file, str | os.PathLike):
        return os.fspath(file)
    given = getattr(file, "name", None)
    return given if isinstance(given, str) else "the picture"


def reason(error: Exception) -> str:
    """The first line of an error, or else its kind."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _bytes_of(file: PictureFile, name: str, max_bytes: int) -> bytes:
    if isinstance(file, bytes):
        content = file
    elif isinstance(file, str | os.PathLike):
        try:
            with Path(file).open("rb") as opened:
                content = opened.read(max_bytes + 1)
        except FileNotFoundError:
            raise DataError(f"{name} does not exist") from None
        except OSError as error:
            raise DataError(f"{name} cannot be opened: {error.strerror or error}") from None
    else:
        content = file.read(max_bytes + 1)
    if not content:
        raise DataError(f"{name} is empty: it has 0 bytes")
    if len(content) > max_bytes:
        raise DataError(
            f"{name} has more than {max_bytes / 2**20:g} MiB: save it smaller, 1000 pixels a side are plenty"
        )
    return content


def _opened(content: bytes, name: str, max_pixels: int) -> Image.Image:
    """The picture with its header read and its pixels still packed."""
    try:
        image = Image.open(BytesIO(content), formats=_formats())
    except Image.DecompressionBombError:
        raise DataError(_too_many_pixels(name, max_pixels)) from None
    except UnidentifiedImageError:
        raise DataError(_not_an_image(content, name)) from None
    except Exception as error:
        raise DataError(f"{name} is damaged ({reason(error)}): save or copy it again") from None
    if image.width * image.height > max_pixels:
        raise DataError(_too_many_pixels(name, max_pixels, f" ({image.width} × {image.height})"))
    return image


@cache
def _formats() -> tuple[str, ...]:
    """Those that this build of Pillow can read."""
    Image.init()
    return tuple(item for item in _FORMATS if item in Image.OPEN)


def _too_many_pixels(name: str, max_pixels: int, size: str = "") -> str:
    return f"{name} has more than {max_pixels / 1e6:g} million pixels{size}: resize it; 1000 pixels a side are enough"


def _not_an_image(content: bytes, name: str) -> str:
    if b"<svg" in content[:4096].lower():
        return f"{name} is an SVG drawing, which has no pixels: save it as PNG"
    if content[4:8] == b"ftyp" and content[8:12] in {b"heic", b"heix", b"mif1", b"msf1", b"hevc"}:
        return f"{name} is a HEIC photograph, which cannot be read here: save it as JPEG"
    return f"{name} is not a picture that can be read: use PNG, JPEG, WebP, GIF, BMP or TIFF"
