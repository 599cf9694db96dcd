"""Any picture to what the network reads, a small grey square: the one way that evaluation, prediction and page share.

A grey picture of that size comes out bit for bit as it went in. Needs numpy and Pillow alone.
"""

import math
import warnings
from contextlib import nullcontext, suppress
from io import BytesIO
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from sign_cnn.errors import DataError

ImageFile = Path | bytes | IO[bytes]
Crop = tuple[
    float, float, float, float
]  # left, top, right and bottom, in pixels of the upright picture

MAX_BYTES = 32 * 2**20
MAX_PIXELS = 50e6  # the 48 megapixels of a phone pass
MID_GREY = (
    128  # behind transparent pixels: the hands of the data set are before neither black nor white
)
# Not EPS, which runs a program to be read, and no format that neither cameras nor browsers write.
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "JPEG2000", "GIF", "BMP", "DIB", "TIFF", "PPM")
HEIC = (b"ftypheic", b"ftypheix", b"ftypmif1", b"ftypmsf1", b"ftyphevc")  # bytes 4 to 12
SMALLER = "save it smaller, 1000 pixels a side are enough"


def open_image(
    file: ImageFile,
    *,
    name: str | None = None,
    max_bytes: int = MAX_BYTES,
    max_pixels: float = MAX_PIXELS,
) -> Image.Image:
    """Decode a picture (of an animation, the first frame), upright by EXIF. Raises DataError: it cannot be read."""
    name = name or str(file if isinstance(file, Path) else getattr(file, "name", "the picture"))
    try:
        with file.open("rb") if isinstance(file, Path) else nullcontext(file) as opened:
            content = opened if isinstance(opened, bytes) else opened.read(max_bytes + 1)
    except OSError as error:
        raise DataError(f"{name} cannot be opened: {error.strerror}") from None
    if not content:
        raise DataError(f"{name} is empty: save or copy it again")
    if len(content) > max_bytes:
        raise DataError(f"{name} has more than {max_bytes / 2**20:g} MiB: {SMALLER}")
    with warnings.catch_warnings(action="ignore"):  # Pillow warns of odd notes in files
        try:
            image = Image.open(BytesIO(content), formats=FORMATS)
            if image.width * image.height > max_pixels:
                raise Image.DecompressionBombError
            image.load()
        except Image.DecompressionBombError:
            raise DataError(
                f"{name} has more than {max_pixels / 1e6:g} million pixels: {SMALLER}"
            ) from None
        except UnidentifiedImageError:
            kind = "not a picture that can be read: use PNG, JPEG, WebP, GIF, BMP or TIFF"
            if b"<svg" in content[:4096].lower() or content[4:12] in HEIC:
                kind = (
                    "a HEIC photo: save it as JPEG"
                    if content[4:12] in HEIC
                    else "an SVG drawing: save it as PNG"
                )
            raise DataError(f"{name} is {kind}") from None
        except Exception as error:  # decoders of broken files raise nearly anything
            raise DataError(
                f"{name} is damaged or cut short ({error}): save or copy it again"
            ) from None
        with suppress(Exception):  # a damaged EXIF note is no reason to refuse the picture
            ImageOps.exif_transpose(image, in_place=True)
    return image


def prepare(
    image: Image.Image,
    *,
    size: int,
    crop: Crop | None = None,
    invert: bool = False,
    mirror: bool = False,
) -> NDArray[np.uint8]:
    """Make an upright picture grey, crop it, fit it into a square and pad it with its nearest edge pixels.

    Args:
        image: Of any size and mode.
        size: Height and width of the result, in pixels.
        crop: What to keep, rounded outwards; it may reach beyond the picture.
        invert: Whether to swap dark and light.
        mirror: Whether to swap left and right.

    Returns:
        uint8 (size, size), 0..255. Raises DataError if `crop` keeps nothing.
    """
    grey = adjust(to_grey(image), crop=crop, invert=invert, mirror=mirror)
    longest = max(grey.size)
    width, height = (max(1, round(side * size / longest)) for side in grey.size)
    # BOX averages areas, but repeats pixels unevenly where it enlarges.
    resampling = Image.Resampling.BOX if longest >= size else Image.Resampling.BILINEAR
    pixels = np.asarray(grey.resize((width, height), resampling))
    above, before = (size - height) // 2, (size - width) // 2
    return np.pad(
        pixels, ((above, size - height - above), (before, size - width - before)), mode="edge"
    )


def adjust(
    image: Image.Image, *, crop: Crop | None = None, invert: bool = False, mirror: bool = False
) -> Image.Image:
    """Crop, invert and mirror, as `prepare` says. Raises DataError if `crop` keeps nothing."""
    if crop:
        left, top = (max(math.floor(edge), 0) for edge in crop[:2])
        right, bottom = (
            min(math.ceil(edge), side) for edge, side in zip(crop[2:], image.size, strict=True)
        )
        if left >= right or top >= bottom:
            raise DataError(
                f"the crop box {crop} keeps nothing of {image.width}×{image.height} pixels"
            )
        image = image.crop((left, top, right, bottom))
    if invert:
        image = ImageOps.invert(image if image.mode == "L" else to_colours(image))
    return ImageOps.mirror(image) if mirror else image


def to_grey(image: Image.Image) -> Image.Image:
    """Mode "L" of the same size; transparent pixels show mid-grey, 16-bit and float greys are scaled to 0..255."""
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.nan_to_num(np.asarray(image, np.float32), posinf=0, neginf=0)
        scale = 1 / 257 if image.mode != "F" else 255 if values.max() <= 1 else 1
        return Image.fromarray((values * scale).round().clip(0, 255).astype(np.uint8))
    if not image.has_transparency_data:
        return image.getchannel("L") if image.mode == "LAB" else image.convert("L")
    image = image.convert("RGBA")
    return Image.composite(
        image.convert("L"), Image.new("L", image.size, MID_GREY), image.getchannel("A")
    )


def to_colours(image: Image.Image) -> Image.Image:
    """Mode "RGB" of the same size; transparent pixels show mid-grey, what is no colour picture is grey."""
    if image.mode in ("F", "LAB") or image.mode.startswith("I"):
        return to_grey(image).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    return Image.composite(
        image, Image.new("RGBA", image.size, (MID_GREY,) * 3), image.getchannel("A")
    ).convert("RGB")
