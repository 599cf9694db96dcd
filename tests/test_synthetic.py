from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from sign_cnn.config import SyntheticConfig
from sign_cnn.data.synthetic import pictures
from sign_cnn.data.synthetic.landmarks import SAMPLES, draw_samples, make_table
from sign_cnn.data.synthetic.pictures import ensure_synthetic, make_variants, render_photo
from sign_cnn.errors import DataError, UserError
from sign_cnn.hands.landmarks import COORDINATES, LANDMARKS, read_landmarks
from sign_cnn.letters import FILES, LETTERS, MARKER, PHOTOS_FILE

SMALL = SyntheticConfig(train_photos=3, test_photos=1, variants=20)
TINY = SyntheticConfig(train_photos=1, test_photos=1, variants=2)


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(root.iterdir())}


def read_rows(root: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """File, row, photo, session and label of every row of both CSVs, and its pixels."""
    tables = [pd.read_csv(root / name, dtype="uint8") for name in FILES]
    values, photos = np.concatenate(tables), pd.read_csv(root / PHOTOS_FILE)
    return photos.assign(label=values[:, 0]), values[:, 1:]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_synthetic(tmp_path_factory.mktemp("small") / "set", SMALL)


def test_photo_does_not_depend_on_the_number_of_photos_and_letters(small: Path, tmp_path: Path):
    ensure_synthetic(tmp_path, replace(SMALL, train_photos=2), "YK")
    few, many = ({bytes(row) for row in read_rows(root)[1]} for root in (tmp_path, small))
    assert few < many


def test_files_have_the_format_of_the_real_set(small: Path):
    table, _ = read_rows(small)
    header = ["label", *(f"pixel{i}" for i in range(1, 785))]
    for name, (_, photos) in zip(FILES[::-1], table.groupby("file"), strict=True):
        content = pd.read_csv(small / name)
        assert content.columns.tolist() == header
        assert set(content["label"]) == {*range(25)} - {9}
        assert not content["label"].is_monotonic_increasing
        assert photos["row"].tolist() == content.index.tolist()


@pytest.mark.parametrize("size", [8, 9, 100])
def test_pictures_have_any_size(tmp_path: Path, size: int):
    table, pixels = read_rows(ensure_synthetic(tmp_path, TINY, "AY", size))
    assert (pixels.shape[1], set(table["label"])) == (size**2, {0, 24})
    assert pixels.std(axis=1).min() > 5


def test_photo_has_about_variants_rows_of_one_letter_in_one_file(small: Path):
    by_photo = read_rows(small)[0].groupby("photo")
    assert len(by_photo) == 24 * 4
    assert by_photo[["label", "file", "session"]].nunique().eq(1).all(axis=None)
    assert set(by_photo.size()) <= {19, 20, 21}


def test_photos_of_a_session_have_one_wall(small: Path):
    table, pixels = read_rows(small)
    wall = pd.Series(pixels[:, [0, 27]].mean(axis=1)).groupby(table["photo"]).mean()
    sessions = table.groupby("photo")["session"].first()
    assert wall.groupby(sessions).var().mean() < wall.var() / 2


def test_finished_set_is_used_without_a_lock(small: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("filelock.FileLock.acquire", None)  # a read-only folder has no lock
    assert ensure_synthetic(small, SMALL) == small


@pytest.mark.parametrize(("seed", "letters", "size"), [(1, "AB", 28), (0, "AC", 28), (0, "AB", 29)])
def test_other_settings_make_the_set_anew(tmp_path: Path, seed: int, letters: str, size: int):
    before = contents(ensure_synthetic(tmp_path, TINY, "AB"))
    ensure_synthetic(tmp_path, replace(TINY, seed=seed), letters, size)
    assert contents(tmp_path)[FILES[0]] != before[FILES[0]]
    assert contents(ensure_synthetic(tmp_path, TINY, ["B", "A"])) == before


def test_another_generator_makes_the_set_anew(tmp_path: Path, monkeypatch):
    before = contents(ensure_synthetic(tmp_path, TINY, "AB"))
    monkeypatch.setattr(pictures, "GENERATOR_VERSION", 99)
    assert contents(ensure_synthetic(tmp_path, TINY, "AB"))[MARKER] != before[MARKER]


@pytest.mark.parametrize("after", range(5))
def test_killed_writer_leaves_whole_files_and_the_next_one_finishes(tmp_path: Path, after: int):
    whole = contents(ensure_synthetic(tmp_path / "whole", TINY, "AB"))
    rename, left = Path.replace, [1] * after
    with pytest.MonkeyPatch.context() as patch, pytest.raises(IndexError):
        patch.setattr(Path, "replace", lambda *paths: (left.pop(), rename(*paths)))
        ensure_synthetic(tmp_path / "set", TINY, "AB")
    files = contents(tmp_path / "set")
    assert len(files) == after
    assert all(files[name] == whole[name] for name in files if name != MARKER)
    assert contents(ensure_synthetic(tmp_path / "set", TINY, "AB")) == whole


def test_processes_that_start_together_make_one_set(tmp_path: Path, monkeypatch):
    render = mock.Mock(wraps=pictures.render_photo)
    monkeypatch.setattr(pictures, "render_photo", render)
    with ThreadPoolExecutor(4) as pool:  # each call opens the lock file anew, as a process would
        list(pool.map(lambda root: ensure_synthetic(root, TINY, "AB"), [tmp_path / "set"] * 4))
    assert render.call_count == 4


def test_wrong_folders_and_letters_without_a_pose_are_named(tmp_path: Path):
    (tmp_path / "sign_mnist_train.csv.gz").write_bytes(b"real")
    with pytest.raises(DataError, match=r"sign_mnist_train\.csv\.gz.*data\.synthetic_root"):
        ensure_synthetic(tmp_path, TINY)
    assert contents(tmp_path) == {"sign_mnist_train.csv.gz": b"real"}
    with pytest.raises(UserError, match=r"gz/set"):
        ensure_synthetic(tmp_path / "sign_mnist_train.csv.gz" / "set", TINY)
    with pytest.raises(DataError, match=r"data\.letters.*J.*Z"):
        ensure_synthetic(tmp_path / "set", TINY, "AJZ")


def test_letters_differ_from_each_other_and_are_repeatable():
    def draw(letter: str, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return make_variants(render_photo(letter, rng, rng, rng, 28), 1, rng)[0].astype(int)

    hands = {letter: draw(letter) for letter in LETTERS}
    for a, b in combinations(LETTERS, 2):
        assert np.abs(hands[a] - hands[b]).mean() > 3, a + b
    assert np.array_equal(hands["K"], draw("K"))
    assert not np.array_equal(hands["K"], draw("K", seed=1))


def test_landmarks_and_samples_of_the_package_are_those_that_are_sampled():
    table, rows = read_landmarks(LANDMARKS), make_table()
    stored = table[table["source"] == "synthetic"]
    assert stored["letter"].tolist() == rows["letter"].tolist()
    assert np.allclose(stored[COORDINATES], rows[COORDINATES], atol=1e-3)
    assert np.allclose(np.load(SAMPLES), draw_samples(), atol=1e-4)
