import gzip
import logging
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sign_cnn.data import cache, csv, csv_files, npz
from sign_cnn.data.dataset import SignDataset
from sign_cnn.data.identity import OFFICIAL_FINGERPRINT, SYNTHETIC_MARKER
from sign_cnn.errors import DataError
from sign_cnn.letters import RAW_LABELS

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


def write_pair(root: Path, seed: int = 0, end: str = "\n") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for stem, rows in (("sign_mnist_train", 5), ("sign_mnist_test", 3)):
        table = np.column_stack([rng.choice(RAW_LABELS, rows), rng.integers(0, 256, (rows, 784))])
        lines = [",".join(csv.COLUMNS), *(",".join(map(str, row)) for row in table)]
        (root / f"{stem}.csv").write_bytes((end.join(lines) + end).encode())
    return root


def assert_same(one: SignDataset, other: SignDataset) -> None:
    assert (one.fingerprint, one.kind) == (other.fingerprint, other.kind)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype == np.uint8


def entry(folder: Path) -> Path:
    (path,) = folder.glob("*.npz")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_pair(tmp_path / "data")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were parsed."""
    calls: list[Path] = []
    read = csv.read

    def counting(source: csv_files.Source) -> Any:
        calls.append(source.path)
        return read(source)

    monkeypatch.setattr(csv, "read", counting)
    return calls


def test_second_load_gives_the_same_set_without_parsing(root: Path, folder: Path, parsed: list[Path]) -> None:
    first = cache.load(root, folder)
    assert len(parsed) == 2
    assert first.train_images.shape == (5, 28, 28)
    assert first.test_labels.shape == (3,)
    assert_same(first, cache.load(root, folder))
    assert len(parsed) == 2


def test_touched_files_are_verified_by_content_and_not_parsed(root: Path, folder: Path, parsed: list[Path]) -> None:
    first = cache.load(root, folder)
    os.utime(root / "sign_mnist_test.csv", ns=(1, 1))
    assert cache.stored_fingerprint(root, folder) is None
    assert_same(first, cache.load(root, folder))
    assert cache.stored_fingerprint(root, folder) == (first.fingerprint, "custom")
    assert len(parsed) == 2


def test_changed_files_are_parsed_again(root: Path, folder: Path) -> None:
    first = cache.load(root, folder)
    write_pair(root, seed=1)
    os.utime(root / "sign_mnist_train.csv", ns=(1, 1))
    second = cache.load(root, folder)
    assert second.fingerprint != first.fingerprint
    assert_same(second, cache.load(root, folder))


def test_fingerprint_ignores_how_the_set_is_stored(root: Path, tmp_path: Path) -> None:
    first = cache.load(root, tmp_path / "1")
    assert cache.load(write_pair(tmp_path / "crlf", end="\r\n"), tmp_path / "2").fingerprint == first.fingerprint
    for path in root.glob("*.csv"):
        path.with_suffix(".csv.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert cache.load(root, tmp_path / "1").fingerprint == first.fingerprint


def test_marker_makes_the_set_synthetic_also_in_the_cache(root: Path, folder: Path, parsed: list[Path]) -> None:
    assert cache.load(root, folder).kind == "custom"
    (root / SYNTHETIC_MARKER).write_text("{}")
    assert cache.load(root, folder).kind == "synthetic"
    shutil.rmtree(root)
    assert cache.load(root, folder).kind == "synthetic"
    assert len(parsed) == 2


def test_official_set_is_recognised(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fingerprint = cache.load(root, folder).fingerprint
    monkeypatch.setattr("sign_cnn.data.identity.OFFICIAL_FINGERPRINT", fingerprint)
    assert cache.load(root, folder / "other").kind == "official"


def flip_pixel(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


def store(path: Path, **changes: Any) -> None:
    """Stores an entry anew with parts of its note or arrays replaced, checksums intact."""
    note, arrays = npz.read(path)
    npz.write(
        path,
        note | {key: value for key, value in changes.items() if key not in arrays},
        {name: changes.get(name, array) for name, array in arrays.items()},
    )


DAMAGES = {
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-500]),
    "one flipped bit": flip_pixel,
    "another version": lambda path: store(path, format=cache.FORMAT + 1),
    "an unknown kind": lambda path: store(path, kind="best"),
    "other labels": lambda path: store(path, train_labels=np.zeros(5, np.uint8)),
    "floats": lambda path: store(path, train_labels=np.zeros(5)),
    "another fingerprint": lambda path: store(path, fingerprint="0" * 64),
    "another note": lambda path: npz.write(path, {"format": cache.FORMAT}, npz.read(path)[1]),
    "an array too many": lambda path: npz.write(path, npz.read(path)[0], npz.read(path)[1] | {"extra": np.ones(1)}),
    "an array missing": lambda path: npz.write(path, npz.read(path)[0], {"test_labels": np.ones(3, np.uint8)}),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_entry_is_built_again(root: Path, folder: Path, parsed: list[Path], damage: Any) -> None:
    first = cache.load(root, folder)
    damage(entry(folder))
    assert_same(first, cache.load(root, folder))
    assert len(parsed) == 4
    assert_same(first, cache.load(root, folder))
    assert len(parsed) == 4


FORGED_LABELS = {"no class": np.full(5, 24, np.uint8), "too few": np.zeros(4, np.uint8)}


@pytest.mark.parametrize("labels", FORGED_LABELS.values(), ids=FORGED_LABELS)
def test_forged_entry_with_a_matching_fingerprint_is_not_used(
    root: Path, folder: Path, parsed: list[Path], labels: Any
) -> None:
    first = cache.load(root, folder)
    forged = cache.fingerprint(first.train_images, labels, first.test_images, first.test_labels)
    store(entry(folder), train_labels=labels, fingerprint=forged)
    assert_same(first, cache.load(root, folder))
    assert len(parsed) == 4


def test_damage_is_warned_of_once(root: Path, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache.load(root, folder)
    flip_pixel(entry(folder))
    cache.load(root, folder)
    assert [record.levelno for record in caplog.records if "damaged" in record.message] == [logging.WARNING]


def test_moved_cache_alone_is_enough(root: Path, folder: Path, tmp_path: Path, parsed: list[Path]) -> None:
    first = cache.load(root, folder)
    moved = tmp_path / "moved"
    moved.mkdir()
    entry(folder).rename(moved / entry(folder).name)
    elsewhere = tmp_path / "no such folder"
    assert_same(first, cache.load(elsewhere, moved))
    assert cache.stored_fingerprint(elsewhere, moved) == (first.fingerprint, "custom")
    assert not cache.available(elsewhere, moved)  # data=auto takes no stranger's set
    assert len(parsed) == 2


def test_the_official_set_comes_before_others_in_the_cache(
    root: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.load(write_pair(tmp_path / "other", seed=1), folder)
    official = cache.load(root, tmp_path / "elsewhere")
    monkeypatch.setattr("sign_cnn.data.identity.OFFICIAL_FINGERPRINT", official.fingerprint)
    cache.load(root, folder)
    assert cache.load(tmp_path / "gone", folder).fingerprint == official.fingerprint
    assert cache.available(tmp_path / "gone", folder)


def test_of_two_cached_sets_neither_is_guessed(root: Path, folder: Path, tmp_path: Path) -> None:
    first = cache.load(root, folder)
    second = cache.load(write_pair(tmp_path / "other", seed=1), folder)
    cache.load(write_pair(tmp_path / "other name", seed=2), folder, name="sign_mnist_synthetic")
    with pytest.raises(DataError) as caught:
        cache.load(tmp_path / "gone", folder)
    for part in (first.fingerprint[:12], second.fingerprint[:12], str(tmp_path / "gone"), str(folder), "delete"):
        assert part in str(caught.value)
    assert "synthetic" not in str(caught.value)
    assert cache.stored_fingerprint(tmp_path / "gone", folder) is None


def test_cached_set_of_the_same_folder_comes_first(root: Path, folder: Path, tmp_path: Path) -> None:
    first = cache.load(root, folder)
    cache.load(write_pair(tmp_path / "other", seed=1), folder)
    shutil.rmtree(root)
    assert_same(first, cache.load(root, folder))


def test_two_cached_copies_of_one_set_are_no_choice(root: Path, folder: Path, tmp_path: Path) -> None:
    first = cache.load(root, folder)
    cache.load(write_pair(tmp_path / "copy"), folder)
    assert_same(first, cache.load(tmp_path / "gone", folder))


def test_without_csvs_and_cache_the_ways_out_are_told(folder: Path, tmp_path: Path) -> None:
    assert not cache.available(tmp_path / "gone", folder)
    assert cache.stored_fingerprint(tmp_path / "gone", folder) is None
    with pytest.raises(DataError, match="data=synthetic"):
        cache.load(tmp_path / "gone", folder)


def test_half_a_pair_is_an_error_in_spite_of_the_cache(root: Path, folder: Path) -> None:
    cache.load(root, folder)
    (root / "sign_mnist_test.csv").unlink()
    assert cache.available(root, folder)
    assert cache.stored_fingerprint(root, folder) is None
    with pytest.raises(DataError, match="but no sign_mnist_test"):
        cache.load(root, folder)


def test_bad_csv_leaves_no_trace(root: Path, folder: Path) -> None:
    (root / "sign_mnist_test.csv").write_text("label\n")
    with pytest.raises(DataError, match="line 1"):
        cache.load(root, folder)
    assert not [path for path in folder.iterdir() if path.suffix != ".lock"]


def test_file_that_changes_while_it_is_read_is_refused(
    root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = csv.read

    def slow(source: csv_files.Source) -> Any:
        result = read(source)
        source.path.write_bytes(source.path.read_bytes() + b"\n")
        return result

    monkeypatch.setattr(csv, "read", slow)
    with pytest.raises(DataError, match="changed while they were read"):
        cache.load(root, folder)
    assert not list(folder.glob("*.npz"))


def test_folder_that_cannot_be_written_costs_no_more_than_a_warning(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    dataset = cache.load(root, tmp_path / "file" / "cache")
    assert len(dataset.train_labels) == 5
    assert "continuing without a cache" in caplog.text


def test_of_two_starts_at_once_one_parses(root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    read = csv.read

    def slow(source: csv_files.Source) -> Any:
        calls.append(source)
        time.sleep(0.2)
        return read(source)

    monkeypatch.setattr(csv, "read", slow)
    together = threading.Barrier(2)

    def start() -> SignDataset:
        together.wait()
        return cache.load(root, folder)

    with ThreadPoolExecutor(2) as pool:
        one, other = [future.result() for future in (pool.submit(start), pool.submit(start))]
    assert_same(one, other)
    assert len(calls) == 2


@pytest.mark.real_data
def test_real_set_is_official_and_fits_in_64_megabytes(real_root: Path, folder: Path) -> None:
    dataset = cache.load(real_root, folder)
    assert (dataset.kind, dataset.fingerprint) == ("official", OFFICIAL_FINGERPRINT)
    assert len(dataset.train_labels) == 27_455
    assert len(dataset.test_labels) == 7_172
    assert dataset.train_images.mean() / 255 == pytest.approx(0.6247, abs=1e-4)
    assert entry(folder).stat().st_size < 64e6
    assert_same(dataset, cache.load(real_root, folder))
