"""Any picture to what the network sees, 28×28 grey pixels: the one way that evaluation, prediction and app share.

A grey picture of 28×28 pixels comes out as it went in, so that a file of a row of the data set is that row. Only numpy
and Pillow are needed. Nothing is normalised here: the checkpoint does that.
"""

import os
import warnings
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from sign_cnn.errors import DataError

IMAGE_SIZE = 28
"""Height and width of the result, in pixels."""

MAX_BYTES = 32 * 2**20
"""Largest file that is opened."""

MAX_PIXELS = 50_000_000
"""Most pixels that are decoded: a phone's 48-megapixel photograph passes, a decompression bomb does not."""

MID_GREY = 128
"""What shows through transparent pixels: the hands of the data set are before neither black nor white."""

# Left out on purpose: formats that run a program to be read (EPS), and those that no camera or browser writes.
_FORMATS = ("PNG", "JPEG", "MPO", "WEBP", "AVIF", "JPEG2000", "GIF", "BMP", "DIB", "TIFF", "PPM", "ICO")

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Crop = tuple[float, float, float, float]
"""Left, top, right and bottom, in pixels of the upright picture."""


def load_image(
    file: str | os.PathLike[str] | bytes | IO[bytes],
    *,
    crop: Crop | None = None,
    invert: bool = False,
    mirror: bool = False,
    name: str | None = None,
    max_bytes: int = MAX_BYTES,
    max_pixels: int = MAX_PIXELS,
) -> NDArray[np.uint8]:
    """Reads a picture of any common format, size and mode; of an animation, the first frame.

    Args:
        file: A path, the bytes of a file, or a file open for reading.
        crop: The part to keep; see `prepare`.
        invert: Whether to swap dark and light.
        mirror: Whether to swap left and right.
        name: What error messages call the picture; by default its path.
        max_bytes: Largest file that is opened.
        max_pixels: Most pixels that are decoded.

    Returns:
        uint8 (28, 28), 0..255.

    Raises:
        DataError: The file is missing, empty, too large, damaged or no picture, or `crop` keeps nothing of it.
    """
    called = name or _name_of(file)
    content = _bytes_of(file, called, max_bytes)
    # Pillow warns of odd notes in files; what keeps it from reading the pixels is an error.
    with warnings.catch_warnings(action="ignore"), _opened(content, called, max_pixels) as image:
        try:
            image.load()
        except Exception as error:  # decoders of broken files raise whatever they stumble upon
            raise DataError(f"{called} is damaged or cut short ({_reason(error)}): save or copy it again") from None
        return prepare(image, crop=crop, invert=invert, mirror=mirror, name=called)


def prepare(
    image: Image.Image,
    *,
    crop: Crop | None = None,
    invert: bool = False,
    mirror: bool = False,
    name: str = "the picture",
) -> NDArray[np.uint8]:
    """Makes of a decoded picture what the network sees.

    In this order: transparent pixels over mid-grey, greyscale, upright (EXIF), cropped, shrunk by area
    with its aspect ratio kept, filled up to a square with the colour of the nearest edge pixel, inverted, mirrored.

    Args:
        image: Of any size and mode.
        crop: Part to keep, in pixels of the upright picture; what lies outside of the picture is left away.
        invert: Whether to swap dark and light.
        mirror: Whether to swap left and right.
        name: What error messages call the picture.

    Returns:
        uint8 (28, 28), 0..255.

    Raises:
        DataError: The picture has no pixels, cannot be made grey, or `crop` keeps nothing of it.

    >>> prepare(Image.new("RGB", (640, 480), "white")).shape
    (28, 28)
    """
    if 0 in image.size:
        raise DataError(f"{name} has no pixels: it is {image.width} wide and {image.height} high")
    grey = _upright(_grey(image, name), image)
    if crop is not None:
        grey = _cropped(grey, crop, name)
    pixels = _square(grey)
    if invert:
        pixels = 255 - pixels
    if mirror:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _name_of(file: object) -> str:
    if isinstance(file, str | os.PathLike):
        return os.fspath(file)
    given = getattr(file, "name", None)
    return given if isinstance(given, str) else "the picture"


def _bytes_of(file: str | os.PathLike[str] | bytes | IO[bytes], name: str, max_bytes: int) -> bytes:
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
        raise DataError(f"{name} is damaged ({_reason(error)}): save or copy it again") from None
    if image.width * image.height > max_pixels:
        raise DataError(_too_many_pixels(name, max_pixels, f" ({image.width} × {image.height})"))
    return image


@cache
def _formats() -> tuple[str, ...]:
    """Those that this build of Pillow can read."""
    Image.init()
    return tuple(item for item in _FORMATS if item in Image.OPEN)


def _too_many_pixels(name: str, max_pixels: int, size: str = "") -> str:
    return f"{name} has more than {max_pixels / 1e6:g} million pixels{size}: save it smaller, 1000 a side do"


def _not_an_image(content: bytes, name: str) -> str:
    if b"<svg" in content[:4096].lower():
        return f"{name} is an SVG drawing, which has no pixels: save it as PNG"
    if content[4:8] == b"ftyp" and content[8:12] in {b"heic", b"heix", b"mif1", b"msf1", b"hevc"}:
        return f"{name} is a HEIC photograph, which cannot be read here: save it as JPEG"
    return f"{name} is not a picture that can be read: use PNG, JPEG, WebP, GIF, BMP or TIFF"


def _reason(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _grey(image: Image.Image, name: str) -> Image.Image:
    """Mode "L" of the same size."""
    if image.mode == "L" and not image.has_transparency_data:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_as_bytes(np.asarray(image)))
    try:
        if not image.has_transparency_data:
            return image.getchannel("L") if image.mode == "LAB" else image.convert("L")
        image = image.convert("RGBA")
    except (ValueError, OSError) as error:
        raise DataError(f"{name} has a colour mode that cannot be read ({_reason(error)}): save it as PNG") from None
    return Image.composite(image.convert("L"), Image.new("L", image.size, MID_GREY), image.getchannel("A"))


def _as_bytes(values: NDArray[np.integer] | NDArray[np.floating]) -> NDArray[np.uint8]:
    """Whole numbers of 16 bits, or floats that end at 1 or else at 255, as 0..255."""
    if np.issubdtype(values.dtype, np.integer):
        return np.asarray((np.clip(values, 0, 65535).astype(np.uint32) + 128) // 257, np.uint8)
    finite = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    scale = 255.0 if finite.max() <= 1 else 1.0
    return np.asarray(np.clip(np.rint(finite * scale), 0, 255), np.uint8)


def _upright(grey: Image.Image, image: Image.Image) -> Image.Image:
    """The grey picture turned as the camera noted in the original."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG)
    except Exception:  # a damaged note is no reason to refuse the picture
        return grey
    return grey.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else grey


def _cropped(grey: Image.Image, crop: Crop, name: str) -> Image.Image:
    left, top, right, bottom = (round(edge) for edge in crop)
    box = max(left, 0), max(top, 0), min(right, grey.width), min(bottom, grey.height)
    if box[0] >= box[2] or box[1] >= box[3]:
        raise DataError(f"the crop box {crop} keeps nothing of {name}, which is {grey.width} wide, {grey.height} high")
    return grey.crop(box)


def _square(grey: Image.Image) -> NDArray[np.uint8]:
    """uint8 (28, 28): the whole picture in the middle, its edge pixels repeated beside it."""
    longest = max(grey.size)
    width, height = (max(1, round(side * IMAGE_SIZE / longest)) for side in grey.size)
    # Averaging areas is what enlarging cannot do: there it would repeat pixels unevenly.
    resampling = Image.Resampling.BOX if longest >= IMAGE_SIZE else Image.Resampling.BILINEAR
    pixels = np.asarray(grey.resize((width, height), resampling))
    above, left = (IMAGE_SIZE - height) // 2, (IMAGE_SIZE - width) // 2
    beside = ((above, IMAGE_SIZE - height - above), (left, IMAGE_SIZE - width - left))
    return np.pad(pixels, beside, mode="edge")
