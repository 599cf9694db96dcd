import contextlib
import subprocess
import sys
from io import BytesIO
from pathlib import Path

import broken
import broken_pictures
import numpy as np
import pytest
from broken import Case
from broken_pictures import encoded
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from sign_cnn.errors import DataError
from sign_cnn.images.preprocessing import load_image, prepare


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM", "GIF"])
def test_a_grey_picture_of_28_pixels_comes_out_as_it_went_in(kind: str):
    pixels = noise(28, 28)
    assert np.array_equal(load_image(encoded(Image.fromarray(pixels), kind)), pixels)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P", "CMYK"])
def test_the_same_greys_in_another_mode_come_out_the_same(mode: str):
    pixels = noise(28, 28)
    image = Image.fromarray(pixels)
    if mode == "P":
        image.putpalette([value for value in range(256) for _ in range(3)])
    else:
        image = image.convert("RGB").convert(mode) if mode == "CMYK" else image.convert(mode)
    assert np.array_equal(prepare(image), pixels)


def test_one_bit_pictures_are_black_and_white():
    pixels = noise(28, 28) > 127
    assert np.array_equal(prepare(Image.fromarray(pixels)), pixels * np.uint8(255))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_to_eight_and_not_cut_off(kind: str):
    pixels = noise(28, 28)
    sixteen = Image.fromarray(pixels.astype(np.uint16) * 257)
    assert np.array_equal(load_image(encoded(sixteen, kind)), pixels)


def test_big_endian_sixteen_bits_are_read_the_same():
    pixels = noise(28, 28)
    image = Image.frombytes("I;16B", (28, 28), (pixels.astype(">u2") * 257).astype(">u2").tobytes())
    assert np.array_equal(prepare(image), pixels)


@pytest.mark.parametrize("scale", [1.0, 1 / 255])
def test_floats_may_end_at_1_or_at_255_and_hold_no_number(scale: float):
    pixels = noise(28, 28)
    values = pixels.astype(np.float32) * np.float32(scale)
    values[0, 0] = np.nan
    result = prepare(Image.fromarray(values))
    assert result[0, 0] == 0
    assert np.array_equal(result[1:], pixels[1:])


def test_lab_pictures_give_their_lightness():
    image = Image.merge("LAB", [Image.fromarray(noise(28, 28)), *[Image.new("L", (28, 28), 128)] * 2])
    assert np.array_equal(prepare(image), noise(28, 28))


def test_transparent_pixels_show_mid_grey():
    pixels = np.zeros((28, 28, 4), np.uint8)
    pixels[:, 14:, 3] = 255
    result = load_image(encoded(Image.fromarray(pixels)))
    assert (result[:, :14] == 128).all()
    assert (result[:, 14:] == 0).all()


def test_a_transparent_palette_entry_shows_mid_grey():
    image = Image.fromarray(np.repeat(np.array([[0, 1]], np.uint8), 14, axis=1).repeat(28, axis=0))
    image.putpalette([255, 255, 255, 10, 10, 10])
    result = load_image(encoded(image, transparency=0))
    assert (result[:, :14] == 128).all()
    assert (result[:, 14:] == 10).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_the_camera_noted(orientation: int, kind: str):
    pixels = np.kron(np.array([[10, 90, 170], [50, 130, 250]], np.uint8), np.ones((32, 32), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(pixels), kind, exif=exif)
    expected = prepare(ImageOps.exif_transpose(Image.open(BytesIO(content))))
    straight = prepare(Image.fromarray(pixels))
    result = load_image(content)
    assert np.abs(result.astype(int) - expected).max() <= 1
    assert (np.abs(result.astype(int) - straight).max() < 10) == (orientation == 1)


def test_a_damaged_orientation_note_is_ignored():
    content = encoded(Image.fromarray(noise(28, 28)), exif=b"Exif\x00\x00not a tiff header")
    assert np.array_equal(load_image(content), noise(28, 28))


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.new("L", (28, 28), value) for value in (30, 200)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (load_image(content) == 30).all()


def test_shrinking_averages_areas():
    pixels = noise(280, 280)
    means = pixels.reshape(28, 10, 28, 10).mean(axis=(1, 3))
    assert np.abs(prepare(Image.fromarray(pixels)) - means).max() <= 1


def test_the_aspect_ratio_is_kept_and_the_rest_has_the_colour_of_the_edge():
    pixels = np.full((100, 200), 100, np.uint8)
    pixels[:50], pixels[50:] = 40, 220
    result = prepare(Image.fromarray(pixels))
    assert (result[:14] == 40).all()
    assert (result[14:] == 220).all()
    turned = prepare(Image.fromarray(pixels.T.copy()))
    assert np.array_equal(turned, result.T)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (3000, 2), (27, 29), (5, 7)])
def test_any_size_works(size: tuple[int, int]):
    result = prepare(Image.new("L", size, 77))
    assert (result.shape, result.dtype) == ((28, 28), np.uint8)
    assert (result == 77).all()


def test_the_crop_box_counts_in_the_upright_picture_and_may_reach_beyond_it():
    pixels = noise(28, 56)
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.fromarray(pixels), exif=exif)
    upright = np.rot90(pixels, -1)
    assert np.array_equal(load_image(content, crop=(0, 28, 28, 56)), upright[28:])
    assert np.array_equal(load_image(content, crop=(-9, 28, 99, 99)), upright[28:])


@pytest.mark.parametrize("crop", [(0, 0, 0, 9), (30, 0, 40, 9), (9, 0, 5, 9)])
def test_a_crop_box_that_keeps_nothing_is_an_error(crop):
    with pytest.raises(DataError, match=r"keeps nothing of cat\.png"):
        load_image(encoded(Image.new("L", (28, 28))), crop=crop, name="cat.png")


def test_inverting_and_mirroring():
    pixels = noise(28, 28)
    result = prepare(Image.fromarray(pixels), invert=True, mirror=True)
    assert np.array_equal(result, 255 - pixels[:, ::-1])
    assert result.flags.c_contiguous


def test_paths_bytes_and_open_files_are_read_alike(tmp_path: Path):
    path = tmp_path / "hand.png"
    path.write_bytes(encoded(Image.fromarray(noise(28, 28))))
    with path.open("rb") as file:
        for source in (path, str(path), path.read_bytes(), file):
            assert np.array_equal(load_image(source), noise(28, 28))


@broken.each(broken_pictures.CORPUS)
def test_files_that_are_no_good_are_one_sentence_that_names_them(case: Case, tmp_path: Path):
    path = tmp_path / "hand.png"
    path.write_bytes(case.make(tmp_path))
    before = broken.peak_megabytes()
    with pytest.raises(DataError) as caught:
        load_image(path)
    broken.check_sentence(str(caught.value), case)
    assert "hand.png" in str(caught.value)
    assert broken.peak_megabytes() - before < 300


def test_missing_files_and_folders_are_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"no\.png does not exist"):
        load_image(tmp_path / "no.png")
    with pytest.raises(DataError, match="cannot be opened"):
        load_image(tmp_path)


def test_large_files_are_refused_without_reading_them_whole(tmp_path: Path):
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(10**12)  # takes no space
    with pytest.raises(DataError, match="more than 32 MiB"):
        load_image(path)
    content = encoded(Image.fromarray(noise(28, 28)))
    with pytest.raises(DataError, match="photo has more than"):
        load_image(content, name="photo", max_bytes=100)
    with pytest.raises(DataError, match="million pixels"):
        load_image(content, max_pixels=28 * 27)


def test_bytes_that_were_changed_anywhere_never_raise_anything_else():
    generator = np.random.default_rng(1)
    contents = [
        encoded(Image.fromarray(noise(20, 30, 3)), kind) for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")
    ]
    for content in contents * 40:
        changed = np.frombuffer(content, np.uint8).copy()
        where = generator.integers(0, min(len(changed), 200), 4)
        changed[where] = generator.integers(0, 256, 4)
        with contextlib.suppress(DataError):
            assert load_image(changed.tobytes()).shape == (28, 28)


def test_the_first_frame_counts_even_if_the_next_is_broken():
    frames = [Image.fromarray(noise(28, 28, seed=seed)) for seed in (0, 1)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert np.array_equal(load_image(content[:-400]), noise(28, 28))


def test_long_notes_in_a_picture_do_not_hinder():
    notes = PngInfo()
    notes.add_text("comment", "x" * 500_000, zip=True)
    assert np.array_equal(load_image(encoded(Image.fromarray(noise(28, 28)), pnginfo=notes)), noise(28, 28))


def test_more_pixel_data_than_pixels_are_not_unpacked():
    before = broken.peak_megabytes()
    assert (load_image(broken_pictures.png(28, 28, broken_pictures.PACKED_ZEROS)) == 0).all()
    assert broken.peak_megabytes() - before < 100


def test_neither_torch_nor_the_rest_of_the_package_is_imported():
    code = (
        "import sys, sign_cnn.images.preprocessing; "
        "print(*(name for name in sys.modules if name[:5] in ('torch', 'sign_', 'scipy')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {
        "sign_cnn",
        "sign_cnn.errors",
        "sign_cnn.images",
        "sign_cnn.images.image_files",
        "sign_cnn.images.preprocessing",
    }
