"""Writes the drawn set as the same two CSVs as the real one."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from filelock import FileLock

from sign_cnn.config import SyntheticConfig
from sign_cnn.data.csv import MARKER
from sign_cnn.data.drawn.hands import Draws, Spread, draw, random_scene, vary
from sign_cnn.errors import DataError
from sign_cnn.files import atomic_write, remove_temporary, write_text
from sign_cnn.letters import LETTERS, class_index, raw_label

GENERATOR_VERSION = (
    2  # raise it with every change that alters a pixel, so that sets made before are made anew
)
FILES = tuple(
    f"sign_mnist_{name}.csv" for name in ("train", "test", "photos")
)  # photos: of each row


def ensure_drawn(
    root: Path, size: SyntheticConfig, letters: str = LETTERS, image_size: int = 28
) -> Path:
    """Make the set in `root` unless it is there, whole, and made with these settings; returns `root`.

    A photo has `size.variants` variants, or one more, or one less, whatever the number of photos and letters.

    Raises:
        DataError: A letter has no pose, or `root` cannot be written or holds CSVs that were not made here.
    """
    if unknown := sorted(set(letters) - set(LETTERS)):
        raise DataError(
            f"data.letters={letters}: {', '.join(unknown)} cannot be drawn, only {LETTERS} can"
        )
    letters = "".join(letter for letter in LETTERS if letter in letters)
    settings = {
        **asdict(size),
        "letters": letters,
        "image_size": image_size,
        "generator_version": GENERATOR_VERSION,
    }
    if _is_made(root, settings):
        return root
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(
            root.absolute().with_name(f".{root.absolute().name}.lock")
        ):  # beside: `root` can be deleted
            if _is_made(root, settings):
                return root
            if not (root / MARKER).exists() and (found := sorted(root.glob("sign_mnist_*"))):
                raise DataError(
                    f"{found[0]} is no drawn set and is not overwritten: use another data.synthetic_root"
                )
            remove_temporary(root)
            write_text(
                root / MARKER, "{}\n"
            )  # the folder is ours, also when this process is killed
            _write(root, size, letters, image_size)
            write_text(root / MARKER, _make_manifest(root, settings))
    except OSError as error:
        raise DataError(
            f"cannot write the drawn set to {root} ({error.strerror or error}): "
            "set data.synthetic_root to a writable folder"
        ) from error
    return root


def _random_stream(seed: int, *key: int) -> np.random.Generator:
    """Independent random numbers for each key."""
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
    """Draw and write the three CSVs, rows shuffled; a session is one person, room and light over all letters."""
    total, photos, facts = (
        size.train_photos + size.test_photos,
        [],
        list[tuple[str, int, int, int]](),
    )
    for letter in letters:
        in_test = (
            _random_stream(size.seed, 0, class_index(letter)).permutation(total)
            >= size.train_photos
        )
        for number in range(total):
            session = number // size.shots
            keys = (1, session), (2, session, class_index(letter)), (3, number, class_index(letter))
            scene, hand = (
                Draws(*(_random_stream(size.seed, *key, part) for key in keys)) for part in (0, 1)
            )
            photo = draw(letter, hand, Spread(), random_scene(scene, image_size), image_size)
            photos.append(vary(photo, size.variants + int(hand.shot.integers(-1, 2)), hand.shot))
            facts.append(
                (("train", "test")[int(in_test[number])], len(facts), session, raw_label(letter))
            )
    table = pd.DataFrame(facts, columns=["file", "photo", "session", "label"])
    table = table.loc[table.index.repeat([len(variants) for variants in photos])]
    rows = np.column_stack(
        [table.pop("label"), np.concatenate(photos).reshape(len(table), -1)]
    ).astype(np.uint8)
    order = _random_stream(size.seed, 4).permutation(len(rows))
    halves = [order[(table["file"] == half).to_numpy()[order]] for half in ("train", "test")]
    sources = [table.iloc[half].assign(row=range(len(half))) for half in halves]
    header = ["label", *(f"pixel{i}" for i in range(1, image_size**2 + 1))]
    tables = [pd.DataFrame(rows[half], columns=header) for half in halves]
    for name, content in zip(FILES, [*tables, pd.concat(sources)], strict=True):
        with atomic_write(root / name) as temporary:
            content.to_csv(temporary, index=False, lineterminator="\n")
