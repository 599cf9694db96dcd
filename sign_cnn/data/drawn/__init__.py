"""Writes the drawn set as the same two CSVs as the real one, and draws single hands for galleries."""

import json
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock
from numpy.typing import NDArray

from sign_cnn.config import SyntheticConfig
from sign_cnn.data.csv import MARKER
from sign_cnn.data.drawn.hands import MARGIN, Scene, Spread, draw, random_scene, shrink, to_uint8, vary
from sign_cnn.errors import DataError
from sign_cnn.files import atomic_write, remove_temporary, write_text
from sign_cnn.letters import LETTERS, class_index, raw_label

GENERATOR_VERSION = 1  # raise it with every change that alters a pixel, so that sets made before are made anew
FILES = tuple(f"sign_mnist_{name}.csv" for name in ("train", "test", "photos"))  # photos: of each row
GALLERY_SPREAD = Spread(joint=1.2, lean=0.6, length=0.01, thumb=0.01, turn=1.5, roll=2.0)


def ensure_drawn(root: Path, size: SyntheticConfig, letters: str = LETTERS, image_size: int = 28) -> Path:
    """Make the set in `root` unless it is there, whole, and made with these settings; returns `root`.

    A photo has `size.variants` variants, or one more, or one less, whatever the number of photos and letters.

    Raises:
        DataError: A letter has no pose, or `root` cannot be written or holds CSVs that were not made here.
    """
    if unknown := sorted(set(letters) - set(LETTERS)):
        raise DataError(f"data.letters={letters}: {', '.join(unknown)} cannot be drawn, only {LETTERS} can")
    letters = "".join(letter for letter in LETTERS if letter in letters)
    settings = {**asdict(size), "letters": letters, "image_size": image_size, "generator_version": GENERATOR_VERSION}
    if _is_made(root, settings):
        return root
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root.absolute().with_name(f".{root.absolute().name}.lock")):  # beside: `root` can be deleted
            if _is_made(root, settings):
                return root
            if not (root / MARKER).exists() and (found := sorted(root.glob("sign_mnist_*"))):
                raise DataError(f"{found[0]} is no drawn set and is not overwritten: use another data.synthetic_root")
            remove_temporary(root)
            write_text(root / MARKER, "{}\n")  # the folder is ours, also when this process is killed
            _write(root, size, letters, image_size)
            write_text(root / MARKER, _make_manifest(root, settings))
    except OSError as error:
        raise DataError(f"cannot write the drawn set to {root} ({error.strerror or error}): "
                        "set data.synthetic_root to a writable folder") from error  # fmt: skip
    return root


def draw_letter(letter: str, seed: int = 0, size: int = 28) -> NDArray[np.uint8]:
    """A clean example of a letter for galleries: uint8 (size, size), 0..255."""
    rng = _random_stream(seed, 2, class_index(letter), 0)
    photo = draw(letter.upper(), rng, GALLERY_SPREAD, Scene(), size)
    return to_uint8(shrink(photo)[0, MARGIN:-MARGIN, MARGIN:-MARGIN])


def _random_stream(seed: int, *key: int) -> np.random.Generator:
    """Independent random numbers for each key; a photo's key is its half, its letter and its number."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _is_made(root: Path, settings: dict[str, Any]) -> bool:
    try:
        return (root / MARKER).read_text(encoding="utf-8") == _make_manifest(root, settings)
    except (OSError, ValueError):
        return False


def _make_manifest(root: Path, settings: dict[str, Any]) -> str:
    sizes = {name: (root / name).stat().st_size for name in FILES}
    return json.dumps({**settings, "bytes": sizes}, indent=2) + "\n"


def _write(root: Path, size: SyntheticConfig, letters: str, image_size: int) -> None:
    """Draw and write the three CSVs, rows shuffled."""
    header = ["label", *(f"pixel{i}" for i in range(1, image_size**2 + 1))]
    tables, sources, first = [], [], 0
    for half, (file, per_letter) in enumerate({"train": size.train_photos, "test": size.test_photos}.items()):
        photos = []
        for letter, number in product(letters, range(per_letter)):
            rng = _random_stream(size.seed, half, class_index(letter), number)
            photo = draw(letter, rng, Spread(), random_scene(rng, image_size), image_size)
            photos.append(vary(photo, size.variants + int(rng.integers(-1, 2)), rng))
        ids = np.repeat(np.arange(len(photos)), [len(variants) for variants in photos])
        labels = np.array([raw_label(letter) for letter in letters], np.uint8)[ids // per_letter]
        rows = np.column_stack([labels, np.concatenate(photos).reshape(len(ids), -1)])
        order = _random_stream(size.seed, half).permutation(len(ids))
        tables.append(pd.DataFrame(rows[order], columns=header))
        sources.append(pd.DataFrame({"file": file, "row": range(len(ids)), "photo": first + ids[order]}))
        first += len(photos)
    for name, table in zip(FILES, [*tables, pd.concat(sources)], strict=True):
        with atomic_write(root / name) as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")
