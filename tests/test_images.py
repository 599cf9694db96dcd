from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stub_network import encode, load_image, noise

from sign_cnn.errors import DataError
from sign_cnn.images import prepare

GREY = noise(28, 28)
JPEG = encode(Image.fromarray(noise(90, 90)), "JPEG")


@pytest.mark.parametrize("size", [28, 41])
@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
def test_a_grey_picture_of_the_right_size_comes_out_bit_for_bit(
    tmp_path: Path, kind: str, size: int
):
    path = tmp_path / "hand"
    path.write_bytes(encode(Image.fromarray(noise(size, size)), kind))
    with path.open("rb") as file:
        assert all(
            np.array_equal(load_image(x, size=size), noise(size, size))
            for x in (path, path.read_bytes(), file)
        )


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "CMYK", "LAB"])
def test_the_same_greys_in_another_mode_come_out_the_same(mode: str):
    image, neutral = Image.fromarray(GREY), Image.new("L", (28, 28), 128)
    image = (
        Image.merge("LAB", [image, neutral, neutral])
        if mode == "LAB"
        else image.convert("RGB").convert(mode)
    )
    assert np.array_equal(prepare(image, size=28), GREY)


@pytest.mark.parametrize(
    ("kind", "scale"), [("PNG", 257), ("PPM", 257), ("TIFF", 257), ("TIFF", 1.0), ("TIFF", 1 / 255)]
)
def test_greys_of_16_bits_and_floats_up_to_255_or_1_are_scaled(kind: str, scale: float):
    values = (GREY * np.float32(scale)).astype(np.uint16 if scale == 257 else np.float32)
    assert np.array_equal(load_image(encode(Image.fromarray(values), kind), size=28), GREY)


def test_transparent_pixels_show_mid_grey():
    half = np.repeat(np.array([[0, 255]], np.uint8), 14, axis=1).repeat(28, axis=0)
    palette = Image.fromarray(half).convert("P")
    for content in (
        encode(Image.fromarray(np.dstack([half] * 4))),
        encode(palette, transparency=0),
    ):
        assert np.array_equal(load_image(content, size=28), np.where(half, 255, 128))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "MPO"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(orientation: int, kind: str):
    pixels = np.kron(
        np.array([[10, 90, 170], [50, 130, 250]], np.uint8), np.ones((32, 32), np.uint8)
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright = pixels.T if orientation >= 5 else pixels
    upright = upright[:, ::-1] if orientation in (2, 3, 6, 7) else upright
    upright = upright[::-1] if orientation in (3, 4, 7, 8) else upright
    result = load_image(encode(Image.fromarray(pixels), kind, exif=exif), size=96).astype(int)
    assert np.abs(result - prepare(Image.fromarray(upright.copy()), size=96)).max() < 10


def test_shrinking_averages_areas():
    means = noise(280, 280).reshape(28, 10, 28, 10).mean(axis=(1, 3))
    assert np.abs(prepare(Image.fromarray(noise(280, 280)), size=28) - means).max() <= 1


def test_the_aspect_ratio_is_kept_and_the_edges_are_repeated():
    pixels = np.vstack([np.full((50, 200), 40, np.uint8), np.full((50, 200), 220, np.uint8)])
    assert np.array_equal(prepare(Image.fromarray(pixels), size=28)[:, 9], [40] * 14 + [220] * 14)
    assert np.array_equal(
        prepare(Image.fromarray(pixels.T.copy()), size=28)[9], [40] * 14 + [220] * 14
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3000, 2), (27, 29), (5, 7)])
def test_any_size_works(size: tuple[int, int]):
    assert np.array_equal(prepare(Image.new("L", size, 77), size=28), np.full((28, 28), 77))


@pytest.mark.parametrize("crop", [(0, 28, 28, 56), (-9, 28, 99, 99), (0.9, 28.9, 27.1, 55.1)])
def test_a_picture_is_turned_cropped_inverted_and_mirrored(crop: tuple[float, ...]):
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encode(Image.fromarray(noise(28, 56)), exif=exif)
    kept = np.rot90(noise(28, 56), -1)[28:]
    assert np.array_equal(load_image(content, size=28, crop=crop), kept)
    with pytest.raises(DataError, match="keeps nothing of 28×56 pixels"):
        load_image(content, size=28, crop=(0, 9, 9, 9))
    assert np.array_equal(
        load_image(content, size=28, crop=crop, invert=True, mirror=True), 255 - kept[:, ::-1]
    )


@pytest.mark.parametrize(
    ("content", "options", "said"),
    [
        (None, {}, "cannot be opened: No such file or directory"),
        ("folder", {}, "cannot be opened: Is a directory"),
        (b"", {}, "is empty: save or copy it again"),
        (b"hello", {}, "is not a picture that can be read: use PNG, JPEG"),
        (
            b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>',
            {},
            "is an SVG drawing: save it as PNG",
        ),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", {}, "is a HEIC photo: save it as JPEG"),
        (JPEG[:-500], {}, "is damaged or cut short"),
        (JPEG, {"max_bytes": 2**10}, "has more than 0.000976562 MiB: save it smaller"),
        (JPEG, {"max_pixels": 8099}, "has more than 0.008099 million pixels: save it smaller"),
    ],
)
def test_a_bad_file_is_one_sentence_that_names_it(
    tmp_path: Path, content: bytes | str | None, options: dict, said: str
):
    path = tmp_path / "hand.png"
    if content is not None:
        path.mkdir() if content == "folder" else path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        load_image(path, size=28, **options)
    assert str(caught.value).startswith(f"{path} {said}")
    with pytest.raises(DataError, match=r"^the photo "):
        load_image(path, size=28, name="the photo", **options)
