"""The embedded data set: drawn hands, written as the same two CSVs as the real set.

A third file tells which rows come from one photograph; nothing but tests may read it. A fourth, the manifest, holds
what the set was made with and whether it was finished.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from sign_cnn.bounds import out_of_range
from sign_cnn.config import SyntheticConfig
from sign_cnn.data.csv import COLUMNS
from sign_cnn.data.dataset import IMAGE_SIZE
from sign_cnn.data.drawing import MARGIN, draw, plain_scene, random_scene, shrink, to_uint8, vary
from sign_cnn.data.hands import Spread
from sign_cnn.data.identity import SYNTHETIC_MARKER
from sign_cnn.errors import ConfigError, DataError
from sign_cnn.files import replacing
from sign_cnn.letters import LETTERS, NUM_CLASSES, RAW_LABELS, class_of

GENERATOR_VERSION = 1
"""Raised with every change that alters a pixel, so that sets made before are made anew."""

PHOTOGRAPHS = "sign_mnist_photographs.csv"
HALVES = ("train", "test")
GALLERY = len(HALVES)  # the random streams of draw_letter lie beside those of the halves

GALLERY_SPREAD = Spread(joint=1.2, lean=0.6, length=0.01, thumb=0.01, turn=1.5, roll=2.0)
HEADER = ",".join(COLUMNS).encode() + b"\n"
CELLS = np.array([f"{value},".encode() for value in range(256)], "S4").view(np.uint8).reshape(256, 4)


def ensure_synthetic(root: Path, size: SyntheticConfig) -> Path:
    """Makes the set in `root` unless it is there, whole, and made with these settings; returns `root`.

    A photograph has `size.variants` variants, or one more, or one less.

    Raises:
        ConfigError: a number is out of its bounds.
        DataError: `root` cannot be written, or holds CSVs that were not made here.
    """
    if found := out_of_range(size, "data.synthetic."):
        raise ConfigError(found)
    if not _is_made(root, size):
        with _locked(root):
            if not _is_made(root, size):
                _make(root, size)
    return root


def draw_letter(letter: str, seed: int = 0, size: int = IMAGE_SIZE) -> NDArray[np.uint8]:
    """A clean example of a letter for galleries: uint8 (size, size), 0..255.

    >>> draw_letter("Y").shape
    (28, 28)
    """
    rng = _stream(seed, GALLERY, class_of(letter), 0)
    photograph = draw(letter.upper(), rng, GALLERY_SPREAD, plain_scene(size), size)
    inside = slice(MARGIN, MARGIN + size)
    return to_uint8(shrink(photograph)[0][inside, inside])


def _stream(seed: int, half: int, class_index: int, number: int) -> np.random.Generator:
    """A photograph's own random numbers, the same however many others there are."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(half, class_index, number)))


def _photograph(size: SyntheticConfig, half: int, class_index: int, number: int) -> NDArray[np.uint8]:
    """All variants of one photograph: uint8 (n, 28, 28)."""
    rng = _stream(size.seed, half, class_index, number)
    drawn = draw(LETTERS[class_index], rng, Spread(), random_scene(rng))
    return vary(drawn, size.variants + int(rng.integers(-1, 2)), rng)


def _is_made(root: Path, size: SyntheticConfig) -> bool:
    """Whether the manifest tells of these settings and every file is there at its length."""
    try:
        manifest = json.loads((root / SYNTHETIC_MARKER).read_text())
        sizes = {name: (root / name).stat().st_size for name in manifest["bytes"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(sizes) and manifest == _manifest(size, sizes)


def _manifest(size: SyntheticConfig, sizes: dict[str, int]) -> dict[str, Any]:
    return {**asdict(size), "generator_version": GENERATOR_VERSION, "bytes": sizes}


def _make(root: Path, size: SyntheticConfig) -> None:
    """Draws and writes everything; the manifest names no files until all are written."""
    if not (root / SYNTHETIC_MARKER).exists() and (found := sorted(root.glob("sign_mnist_*"))):
        raise DataError(
            f"{found[0]} was not made by the generator of synthetic hands, which would overwrite it: "
            f"name a folder of its own for the synthetic set"
        )
    try:
        _replace(root / SYNTHETIC_MARKER, json.dumps(_manifest(size, {})).encode())
        sizes, table = {}, [b"file,row,photograph\n"]
        for half, name in enumerate(HALVES):
            labels, images, photographs = _half(size, half)
            sizes[f"sign_mnist_{name}.csv"] = _replace(root / f"sign_mnist_{name}.csv", _csv(labels, images))
            table += [f"{name},{row},{photograph}\n".encode() for row, photograph in enumerate(photographs)]
        sizes[PHOTOGRAPHS] = _replace(root / PHOTOGRAPHS, b"".join(table))
        _replace(root / SYNTHETIC_MARKER, json.dumps(_manifest(size, sizes), indent=2).encode())
    except OSError as error:
        raise _unwritable(root, error) from error


def _half(size: SyntheticConfig, half: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.int64]]:
    """Labels, images and photograph ids of one file, rows shuffled."""
    counts = size.train_photographs, size.test_photographs
    per_letter, first = counts[half], sum(counts[:half]) * NUM_CLASSES
    groups = [_photograph(size, half, c, number) for c in range(NUM_CLASSES) for number in range(per_letter)]
    ids = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
    order = np.random.default_rng(np.random.SeedSequence(size.seed, spawn_key=(half,))).permutation(len(ids))
    labels = np.array(RAW_LABELS, np.uint8)[ids // per_letter]
    return labels[order], np.concatenate(groups)[order], (first + ids)[order]


def _csv(labels: NDArray[np.uint8], images: NDArray[np.uint8]) -> bytes:
    """The bytes of a CSV file, looked up cell by cell."""
    cells = CELLS[np.column_stack([labels, images.reshape(len(images), -1)])]
    ends = cells[:, -1]
    ends[ends == ord(",")] = ord("\n")
    return HEADER + bytes(cells[cells != 0])


def _replace(path: Path, content: bytes) -> int:
    """Writes a file in one stroke, so that no half of it is ever seen; returns its length."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)
    return len(content)


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """One process at a time for a folder; the lock lies beside it, so the folder itself can be deleted."""
    root = root.absolute()
    lock = FileLock(root.with_name(f".{root.name}.lock"))
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except OSError as error:
        raise _unwritable(root, error) from error
    try:
        yield
    finally:
        lock.release()


def _unwritable(root: Path, error: OSError) -> DataError:
    return DataError(
        f"the synthetic set cannot be written to {root} ({error.strerror}): name a folder that can be written"
    )
