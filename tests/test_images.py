from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stub_network import encode, noise

from sign_cnn import images
from sign_cnn.errors import DataError
from sign_cnn.images import crop, open_image, prepare

GREY = noise(28, 28)
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"
JPEG = encode(Image.fromarray(noise(90, 90)), "JPEG")


def read(content: bytes, size: int = 28, channels: int = 1) -> np.ndarray:
    return prepare(open_image(BytesIO(content), "x"), size=size, channels=channels)


@pytest.mark.parametrize("size", [28, 41])
@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
def test_a_picture_of_the_right_size_comes_out_bit_for_bit(tmp_path: Path, kind: str, size: int):
    content = encode(Image.fromarray(noise(size, size)), kind)
    (tmp_path / "hand").write_bytes(content)
    pixels = prepare(open_image(tmp_path / "hand"), size=size)
    assert np.array_equal(pixels, noise(size, size)[None])
    assert np.array_equal(read(content, size, channels=3), [noise(size, size)] * 3)
    colours = encode(Image.fromarray(noise(28, 28, 3)))
    assert np.array_equal(read(colours, channels=3), noise(28, 28, 3).transpose(2, 0, 1))


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "CMYK", "I;16"])
def test_the_same_greys_in_another_mode_come_out_the_same(mode: str):
    grey = Image.fromarray(GREY)
    other = Image.fromarray(GREY * np.uint16(257)) if mode == "I;16" else grey.convert("RGB")
    content = encode(other.convert(mode), "TIFF" if mode == "CMYK" else "PNG")
    assert np.array_equal(read(content), GREY[None])
    assert np.array_equal(read(content, channels=3), [GREY] * 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_transparent_pixels_show_mid_grey(channels: int):
    half = np.repeat(np.array([[0, 255]], np.uint8), 14, axis=1).repeat(28, axis=0)
    pixels = read(encode(Image.fromarray(half).convert("P"), transparency=0), channels=channels)
    assert np.array_equal(pixels, np.broadcast_to(np.where(half, 255, 128), pixels.shape))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "MPO"])
def test_pictures_are_turned_upright(kind: str):
    exif = Image.Exif()
    exif[0x0112] = 6
    halves = Image.fromarray(np.repeat(np.uint8([[0], [255]]), 32, axis=0).repeat(64, axis=1))
    result = read(encode(halves, kind, exif=exif), 64).astype(int)
    assert np.abs(result - np.asarray(halves).T[:, ::-1]).max() < 10


def test_shrinking_averages_areas_keeps_the_aspect_ratio_and_repeats_the_edges():
    means = noise(280, 280).reshape(28, 10, 28, 10).mean(axis=(1, 3))
    assert np.abs(prepare(Image.fromarray(noise(280, 280)), size=28) - means).max() <= 1
    pixels = np.vstack([np.full((50, 200), 40, np.uint8), np.full((50, 200), 220, np.uint8)])
    wide, tall = (prepare(Image.fromarray(p.copy()), size=28)[0] for p in (pixels, pixels.T))
    assert np.array_equal(wide[:, 9], [40] * 14 + [220] * 14)
    assert np.array_equal(tall[9], [40] * 14 + [220] * 14)


def test_any_size_works():
    for size in ((1, 1), (1, 500), (3000, 2), (27, 29), (5, 7)):
        assert (prepare(Image.new("L", size, 77), size=28) == np.full((1, 28, 28), 77)).all()


def test_a_box_is_rounded_outwards_and_may_reach_beyond_the_picture():
    picture = Image.fromarray(noise(56, 28))
    for box in ((0, 28, 28, 56), (-9, 28, 99, 99), (0.9, 28.9, 27.1, 55.1)):
        assert np.array_equal(crop(picture, box), noise(56, 28)[28:])


@pytest.fixture(scope="module")
def large() -> bytes:
    """A JPEG of 20 MB and 50 megapixels, turned by its EXIF data, as a phone makes it."""
    tile, picture = Image.effect_noise((1020, 1020), 35), Image.new("L", (8160, 6120))
    for place in np.ndindex(8, 6):
        picture.paste(tile, (1020 * place[0], 1020 * place[1]))
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(picture, "JPEG", quality=73, exif=exif)


def test_a_photograph_of_20_mb_and_50_megapixels_is_read_at_half_its_size_where_allowed(large):
    assert 18e6 < len(large) < 22e6
    picture = open_image(BytesIO(large), "x", may_reduce=True)
    assert picture.size == (3060, 4080)
    assert abs(prepare(picture, size=28).astype(int) - 128).max() < 9


@pytest.mark.parametrize("limits", [{"MAX_MB": 15}, {"MAX_PIXELS": 40e6}], ids=str)
def test_a_picture_beyond_the_limits_is_refused_with_its_name_and_size(large, limits, monkeypatch):
    for limit, value in limits.items():
        monkeypatch.setattr(images, limit, value)
    with pytest.raises(DataError, match=r"the photo .*8160×6120.* MB"):
        open_image(BytesIO(large), "the photo")


@pytest.mark.parametrize("content", [None, b"", b"hello", HEIC, JPEG[:-500]])
def test_a_bad_file_is_named(tmp_path: Path, content: bytes | None):
    path = tmp_path / "hand.png"
    path.mkdir() if content is None else path.write_bytes(content)
    for name in ("", "the photo"):
        with pytest.raises(DataError, match=f"^{name or path} "):
            open_image(path, name)
