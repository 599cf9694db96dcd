from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn_letter import draw_letter

from sign_cnn.config import SyntheticConfig
from sign_cnn.data import drawn as dataset
from sign_cnn.data.csv import MARKER
from sign_cnn.data.drawn import FILES, ensure_drawn
from sign_cnn.errors import DataError
from sign_cnn.letters import LETTERS, raw_label

SMALL = SyntheticConfig(train_photos=3, test_photos=1, variants=20)
TINY = SyntheticConfig(train_photos=1, test_photos=1, variants=2)


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(root.iterdir())}


def read_rows(root: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """File, row, photo and label of every image of both CSVs, and its pixels."""
    *tables, photos = (pd.read_csv(root / name) for name in FILES)
    assert photos["file"].tolist() == ["train"] * len(tables[0]) + ["test"] * len(tables[1])
    assert photos["row"].tolist() == [row for table in tables for row in table.index]
    values = np.concatenate(tables)
    return photos.assign(label=values[:, 0]), values[:, 1:]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_drawn(tmp_path_factory.mktemp("small") / "set", SMALL)


def test_same_settings_give_same_bytes_and_another_seed_other_pixels(tmp_path: Path) -> None:
    for name, letters, seed in (("a", "AB", 5), ("b", "BA", 5), ("c", "AB", 6)):
        ensure_drawn(tmp_path / name, replace(TINY, seed=seed), letters)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert contents(tmp_path / "a")[FILES[0]] != contents(tmp_path / "c")[FILES[0]]


def test_photo_does_not_depend_on_the_number_of_photos_and_letters(
    small: Path, tmp_path: Path
) -> None:
    ensure_drawn(tmp_path, replace(SMALL, train_photos=2), "YK")
    few, many = ({bytes(row) for row in read_rows(root)[1]} for root in (tmp_path, small))
    assert few < many


def test_both_files_have_the_format_of_the_real_set(small: Path) -> None:
    for name in FILES[:2]:
        content = (small / name).read_bytes()
        assert content.startswith(
            ("label," + ",".join(f"pixel{i}" for i in range(1, 785)) + "\n").encode()
        )
        assert b"\r" not in content
        table = pd.read_csv(small / name, dtype="uint8")  # refuses other values
        assert set(table["label"]) == {raw_label(letter) for letter in LETTERS}
        assert not table["label"].is_monotonic_increasing


@pytest.mark.parametrize("size", [8, 9, 100])
def test_any_image_size_can_be_drawn(tmp_path: Path, size: int) -> None:
    table, pixels = read_rows(ensure_drawn(tmp_path, replace(TINY, variants=6), "AY", size))
    assert (pixels.shape[1], set(table["label"])) == (size**2, {0, 24})
    assert pixels.std(axis=1).min() > 10


def test_photo_has_about_variants_rows_of_one_letter_in_one_file(small: Path) -> None:
    by_photo = read_rows(small)[0].groupby("photo")
    assert len(by_photo) == 24 * 4
    assert by_photo[["label", "file"]].nunique().eq(1).all(axis=None)
    assert set(by_photo.size()) == {19, 20, 21}


def test_variants_of_a_photo_correlate_over_099_and_photos_of_a_letter_below_099(
    small: Path,
) -> None:
    table, images = read_rows(small)
    for label, rows in table.groupby("label"):
        correlations = np.corrcoef(images[rows.index])
        same = np.equal.outer(rows["photo"].to_numpy(), rows["photo"].to_numpy())
        assert correlations[~same].max() < 0.99, label
        assert np.sort(np.where(same, correlations, -1))[:, -2].min() > 0.99, label  # after itself


def test_finished_set_is_used_without_a_lock(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "filelock.FileLock.acquire", lambda *_, **__: pytest.fail("a read-only folder has no lock")
    )
    assert ensure_drawn(small, SMALL) == small


@pytest.mark.parametrize(
    "settings", [(replace(TINY, seed=1), "AB", 28), (TINY, "AC", 28), (TINY, "AB", 29)]
)
def test_other_settings_make_the_set_anew(tmp_path: Path, settings: tuple) -> None:
    before = contents(ensure_drawn(tmp_path, TINY, "AB"))
    assert contents(ensure_drawn(tmp_path, *settings))[FILES[0]] != before[FILES[0]]
    assert contents(ensure_drawn(tmp_path, TINY, "AB")) == before


@pytest.mark.parametrize("name", [*FILES, MARKER])
def test_cut_file_is_mended(tmp_path: Path, name: str) -> None:
    before = contents(ensure_drawn(tmp_path, TINY, "AB"))
    (tmp_path / name).write_bytes(before[name][:-9])
    assert contents(ensure_drawn(tmp_path, TINY, "AB")) == before


def test_set_of_another_generator_version_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(ensure_drawn(tmp_path, TINY, "AB"))
    monkeypatch.setattr(dataset, "GENERATOR_VERSION", 99)
    assert contents(ensure_drawn(tmp_path, TINY, "AB"))[MARKER] != before[MARKER]


@pytest.mark.parametrize("after", range(5))
def test_killed_writer_leaves_whole_files_and_the_next_one_finishes(
    tmp_path: Path, after: int
) -> None:
    whole = contents(ensure_drawn(tmp_path / "whole", TINY, "AB"))
    rename, steps = Path.replace, [1] * after
    with pytest.MonkeyPatch.context() as patch, pytest.raises(IndexError, match="pop"):
        patch.setattr(Path, "replace", lambda *paths: (steps.pop(), rename(*paths)))
        ensure_drawn(tmp_path / "set", TINY, "AB")
    left = contents(tmp_path / "set")
    assert len(left) == after
    assert all(left[name] == whole[name] for name in FILES if name in left)
    assert contents(ensure_drawn(tmp_path / "set", TINY, "AB")) == whole


def test_processes_that_start_together_make_one_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, made = dataset._write, []
    monkeypatch.setattr(dataset, "_write", lambda *arguments: (made.append(1), write(*arguments)))
    with ThreadPoolExecutor(
        4
    ) as pool:  # each call opens the lock file anew, as another process would
        list(pool.map(lambda root: ensure_drawn(root, TINY, "AB"), [tmp_path / "set"] * 4))
    assert made == [1]


def test_csvs_of_someone_else_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "sign_mnist_train.csv.gz").write_bytes(b"real")
    with pytest.raises(
        DataError, match=r"sign_mnist_train\.csv\.gz is no drawn set and is not overwritten"
    ):
        ensure_drawn(tmp_path, TINY)
    assert contents(tmp_path) == {"sign_mnist_train.csv.gz": b"real"}


def test_unwritable_folder_and_letters_without_a_pose_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(
        DataError, match=r"cannot write the drawn set to .*file/set \(.*\): set data.synthetic_root"
    ):
        ensure_drawn(tmp_path / "file" / "set", TINY)
    with pytest.raises(DataError, match="AJZ: J, Z cannot be drawn"):
        ensure_drawn(tmp_path / "set", TINY, "AJZ")


def test_letters_differ_from_each_other_and_are_repeatable() -> None:
    drawn = {letter: draw_letter(letter).astype(int) for letter in LETTERS}
    for a, b in combinations(LETTERS, 2):
        assert np.abs(drawn[a] - drawn[b]).mean() > 3, a + b
    assert np.array_equal(drawn["K"], draw_letter("k"))
    assert not np.array_equal(drawn["K"], draw_letter("K", seed=1))
