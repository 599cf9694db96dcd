"""Pictures of any kind to the small squares that networks read, grey or in colour.

Evaluation, prediction and the page share these functions. A grey picture of the right size comes
out bit for bit as it went in. Needs numpy and Pillow alone.
"""

import math
import os
import warnings
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sign_cnn.errors import DataError, error_message

Crop = tuple[float, float, float, float]  # left, top, right, bottom: pixels of the upright picture

MAX_PIXELS = 64e6  # the 50 megapixels of a phone pass; in colour, 192 MB unless it is a JPEG
MAX_MB = 25  # of a file; phones make 3 to 20
REDUCED_PIXELS = 16e6  # a larger JPEG may be decoded at half its width and height
WAY_OUT = f"save it as PNG or JPEG of at most {MAX_PIXELS / 1e6:g} million pixels and {MAX_MB} MB"
MID_GREY = "#808080"  # behind transparent pixels: hands lie before neither black nor white
# Not EPS, which runs a program to be read, and no format that neither cameras nor browsers write.
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "JPEG2000", "GIF", "BMP", "DIB", "TIFF", "PPM")


def open_image(file: Path | BinaryIO, name: str = "", may_reduce: bool = False) -> Image.Image:
    """Decode a picture, of an animation the first frame, and turn it upright by its EXIF data.

    Args:
        file: A file's path, or an open file.
        name: Name for error messages; the path by default.
        may_reduce: Whether a JPEG above `REDUCED_PIXELS` is decoded at half its width and height,
            which takes a third of the memory.

    Returns:
        The picture, in the mode that the file has.

    Raises:
        DataError: If the picture cannot be read, or is larger than `MAX_PIXELS` or `MAX_MB`.
    """
    name = name or str(file)
    try:
        size = file.stat().st_size if isinstance(file, Path) else file.seek(0, os.SEEK_END)
        with warnings.catch_warnings(action="ignore"), Image.open(file, formats=FORMATS) as image:
            pixels = image.width * image.height
            if pixels > MAX_PIXELS or size > 1e6 * MAX_MB:
                facts = f"{image.width}×{image.height} pixels and {size / 1e6:.1f} MB"
                raise DataError(f"{name} has {facts}: {WAY_OUT}")
            if may_reduce and pixels > REDUCED_PIXELS:
                image.draft(image.mode, (image.width // 2, image.height // 2))
            return ImageOps.exif_transpose(image)
    except DataError:
        raise
    except Exception as error:  # decoders of broken files raise nearly anything
        raise DataError(f"{name} cannot be read ({error_message(error)}): {WAY_OUT}") from None


def prepare(image: Image.Image, *, size: int, channels: int = 1) -> NDArray[np.uint8]:
    """Fit an upright picture into a square and pad it with its nearest edge pixels.

    Args:
        image: A picture of any size and mode.
        size: Height and width of the result, in pixels.
        channels: 1 for grey, 3 for red, green and blue.

    Returns:
        uint8 (channels, size, size), 0..255.
    """
    longest = max(image.size)
    width, height = (max(1, round(side * size / longest)) for side in image.size)
    # BOX averages areas, but repeats pixels unevenly where it enlarges.
    resampling = Image.Resampling.BOX if longest >= size else Image.Resampling.BILINEAR
    image = convert(image, "RGB" if channels == 3 else "L").resize((width, height), resampling)
    above, before = (size - height) // 2, (size - width) // 2
    margins = ((above, size - height - above), (before, size - width - before), (0, 0))
    pixels = np.pad(np.asarray(image).reshape(height, width, channels), margins, mode="edge")
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def crop(image: Image.Image, box: Crop) -> Image.Image:
    """Cut a box, rounded outwards, out of a picture.

    Args:
        image: The picture.
        box: What to keep; it may reach beyond the picture.

    Returns:
        The part of the picture within the box.

    Raises:
        DataError: If nothing is left.
    """
    left, top = (max(math.floor(edge), 0) for edge in box[:2])
    right, bottom = map(min, map(math.ceil, box[2:]), image.size)
    if left >= right or top >= bottom:
        raise DataError(f"the crop box {box} keeps nothing of {image.width}×{image.height} pixels")
    return image.crop((left, top, right, bottom))


def convert(image: Image.Image, mode: str) -> Image.Image:
    """Convert the mode of a picture.

    Args:
        image: A picture of any mode.
        mode: "L" (grey) or "RGB".

    Returns:
        The picture, in which transparent pixels are mid-grey and greys of 16 bits 0..255.
    """
    if image.mode.startswith("I"):
        greys = (np.asarray(image) / 257).round().clip(0, 255)
        image = Image.fromarray(greys.astype(np.uint8))
    if image.has_transparency_data:
        background = Image.new("RGBA", image.size, MID_GREY)
        image = Image.alpha_composite(background, image.convert("RGBA"))
    return image.convert(mode)
