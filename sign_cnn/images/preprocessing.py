"""Any picture to what the network sees, 28×28 grey pixels: the one way that evaluation, prediction and app share.

A grey picture of 28×28 pixels comes out as it went in, so that a file of a row of the data set is that row. Only numpy
and Pillow are needed. Nothing is normalised here: the checkpoint does that.
"""

import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sign_cnn.errors import DataError
from sign_cnn.images.image_files import MAX_BYTES, MAX_PIXELS, PictureFile, name_of, open_image, reason

IMAGE_SIZE = 28
"""Height and width of the result, in pixels."""

MID_GREY = 128
"""What shows through transparent pixels: the hands of the data set are before neither black nor white."""

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
    file: PictureFile,
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
        file: What to read.
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
    called = name or name_of(file)
    image = open_image(file, name=called, max_bytes=max_bytes, max_pixels=max_pixels)
    with warnings.catch_warnings(action="ignore"):  # Pillow's, of odd notes in files
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
    grey = upright(as_grey(image, name), image)
    if crop is not None:
        grey = _cropped(grey, crop, name)
    pixels = _square(grey)
    if invert:
        pixels = 255 - pixels
    if mirror:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def as_grey(image: Image.Image, name: str = "the picture") -> Image.Image:
    """Mode "L" of the same size, with transparent pixels over mid-grey.

    Raises:
        DataError: The colour mode cannot be read.
    """
    if image.mode == "L" and not image.has_transparency_data:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        return Image.fromarray(_as_bytes(np.asarray(image)))
    try:
        if not image.has_transparency_data:
            return image.getchannel("L") if image.mode == "LAB" else image.convert("L")
        image = image.convert("RGBA")
    except (ValueError, OSError) as error:
        raise DataError(f"{name} has a colour mode that cannot be read ({reason(error)}): save it as PNG") from None
    return Image.composite(image.convert("L"), Image.new("L", image.size, MID_GREY), image.getchannel("A"))


def _as_bytes(values: NDArray[np.integer] | NDArray[np.floating]) -> NDArray[np.uint8]:
    """Whole numbers of 16 bits, or floats that end at 1 or else at 255, as 0..255."""
    if np.issubdtype(values.dtype, np.integer):
        return np.asarray((np.clip(values, 0, 65535).astype(np.uint32) + 128) // 257, np.uint8)
    finite = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    scale = 255.0 if finite.max() <= 1 else 1.0
    return np.asarray(np.clip(np.rint(finite * scale), 0, 255), np.uint8)


def upright(converted: Image.Image, image: Image.Image) -> Image.Image:
    """A converted picture turned as the camera noted in the original."""
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG)
    except Exception:  # a damaged note is no reason to refuse the picture
        return converted
    return converted.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else converted


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
