import gzip
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from csv_text import TEXT, csv_text, write_pair

from sign_cnn.config import DataConfig, SyntheticConfig
from sign_cnn.data import dataset
from sign_cnn.data.csv import MARKER
from sign_cnn.data.dataset import (
    OFFICIAL_FINGERPRINT,
    PHOTOS_FILE,
    SESSIONS,
    SignDataset,
    data_fingerprint,
    describe_source,
    load_dataset,
)
from sign_cnn.errors import DataError
from sign_cnn.letters import LETTERS, raw_label


@pytest.fixture
def data(tmp_path: Path) -> DataConfig:
    root = write_pair(tmp_path / "data", csv_text([0, 1, 2, 1, 24]), csv_text([2, 1, 0], seed=1))
    return DataConfig(root=str(root), cache_dir=str(tmp_path / "cache"), image_size=8)


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Counts the CSVs that are read."""
    monkeypatch.setattr(dataset, "read_csv", Mock(wraps=dataset.read_csv))
    return dataset.read_csv


def assert_same(one: SignDataset, other: SignDataset) -> None:
    assert (one.fingerprint, one.kind) == (other.fingerprint, other.kind)
    for half in ("train", "test"):
        arrays, others = (
            {**vars(rows), **rows.groups} for rows in (getattr(one, half), getattr(other, half))
        )
        types = {"images": np.uint8, "similarity": np.float32}
        for name in arrays.keys() - {"groups"}:
            np.testing.assert_array_equal(arrays[name], others[name])
            assert arrays[name].dtype == types.get(name, np.int64)


def test_second_load_gives_the_same_set_without_reading_a_csv(data, parse):
    first = load_dataset(data)
    assert first.train.images.shape == (5, 8, 8)
    assert first.test.labels.tolist() == [2, 1, 0]
    assert parse.call_count == 2
    assert_same(first, load_dataset(data))
    assert data_fingerprint(data) == (first.fingerprint, "custom")
    assert parse.call_count == 2


def test_changed_csv_is_noticed_and_a_touched_one_is_not_read_again(data, parse):
    first, path = load_dataset(data), Path(data.root, "sign_mnist_test.csv")
    os.utime(path, ns=(1, 1))
    assert_same(first, load_dataset(data))
    assert parse.call_count == 2
    path.write_text(csv_text([2, 1, 0], seed=2))
    os.utime(path, ns=(1, 1))
    assert data_fingerprint(data)[0] != first.fingerprint
    assert not np.array_equal(load_dataset(data).test.images, first.test.images)


def test_fingerprint_depends_on_pixels_and_labels_of_both_files_and_not_on_how_they_are_stored(
    data, tmp_path
):
    sets = [
        write_pair(tmp_path / "plain"),
        write_pair(tmp_path / "crlf", TEXT.replace("\n", "\r\n")),
        write_pair(
            tmp_path / "gz", gzip.compress(TEXT.encode()), gzip.compress(TEXT.encode()), ".csv.gz"
        ),
        write_pair(tmp_path / "train pixels", csv_text(seed=1)),
        write_pair(tmp_path / "test pixels", test=csv_text(seed=1)),
        write_pair(tmp_path / "train labels", csv_text([2, 1] * 4)),
        write_pair(tmp_path / "test rows", test=csv_text((0, 1) * 3)),
    ]
    found = [data_fingerprint(replace(data, root=str(root)))[0] for root in sets]
    assert len(set(found[:3])) == 1
    assert len(set(found[2:])) == 5


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-200],
        lambda content: content[:400] + bytes([content[400] ^ 1]) + content[401:],
        lambda _: b"",
        lambda content: b"\x93NUMPY" + content[6:],
    ],
    ids=["cut short", "one bit of a pixel", "empty", "a bare array"],
)
def test_damaged_cache_is_made_anew_with_a_warning(
    data, parse, damage: Callable[[bytes], bytes], caplog
):
    first = load_dataset(data)
    (path,) = Path(data.cache_dir).glob("*.npz")
    path.write_bytes(damage(path.read_bytes()))
    assert_same(first, load_dataset(data))
    assert_same(first, load_dataset(data))
    assert parse.call_count == 4
    assert f"{path} is damaged and made anew" in caplog.text


def test_cache_that_cannot_be_written_costs_a_warning(data, tmp_path, caplog):
    (tmp_path / "file").touch()
    assert load_dataset(
        replace(data, cache_dir=str(tmp_path / "file" / "cache"))
    ).train.images.shape == (5, 8, 8)
    assert "continuing without a cache" in caplog.text


def test_of_two_starts_at_once_one_reads_the_csvs(data, parse):
    together = threading.Barrier(2)

    def start(_: int) -> SignDataset:
        together.wait()
        return load_dataset(data)

    with ThreadPoolExecutor(2) as pool:
        assert_same(*pool.map(start, range(2)))
    assert parse.call_count == 2


def test_set_is_known_as_official_or_drawn_here_or_custom(data, monkeypatch):
    assert data_fingerprint(data)[1] == "custom"
    Path(data.root, MARKER).touch()
    assert data_fingerprint(data)[1] == "synthetic"
    monkeypatch.setattr(dataset, "OFFICIAL_FINGERPRINT", data_fingerprint(data)[0])
    assert load_dataset(data).kind == "official"


def test_default_root_is_served_from_the_cached_official_set_and_a_named_one_is_not(
    data, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    official = load_dataset(data)
    default = replace(data, root=DataConfig.root)
    with pytest.raises(
        DataError, match=f"there is no folder {DataConfig.root}: .* or use .* data=synthetic"
    ):
        load_dataset(default)  # another custom set is not taken for it
    monkeypatch.setattr(dataset, "OFFICIAL_FINGERPRINT", official.fingerprint)
    assert_same(load_dataset(default), replace(official, kind="official"))
    assert describe_source(default, "official").startswith(
        f"Sign Language MNIST from {data.cache_dir}"
    )
    for name in ("sign_mnist", "auto"):
        with pytest.raises(DataError, match="there is no folder gone: "):
            load_dataset(replace(data, name=name, root="gone"))


def test_auto_takes_the_real_set_where_it_is_found_and_else_draws_one(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = SyntheticConfig(train_photos=1, test_photos=1, variants=2)
    auto = replace(
        data, name="auto", letters="AB", image_size=8, synthetic_root="drawn", synthetic=small
    )
    assert load_dataset(auto).kind == "custom"
    assert not Path("drawn").exists()
    auto = replace(auto, root=DataConfig.root)
    assert load_dataset(auto).kind == "synthetic"
    assert "synthetic hands" in describe_source(auto, "synthetic")


def test_letters_select_rows_and_order_the_classes(data):
    whole, some = load_dataset(data), load_dataset(replace(data, letters="CAB"))
    assert [half.labels.tolist() for half in (some.train, some.test)] == [[1, 2, 0, 2], [0, 2, 1]]
    np.testing.assert_array_equal(some.train.images, whole.train.images[:4])
    np.testing.assert_array_equal(some.train.photos, whole.train.photos[:4])
    assert some.fingerprint == whole.fingerprint


def test_sessions_of_a_drawn_set_are_those_it_was_drawn_in(tmp_path):
    size = SyntheticConfig(train_photos=4, test_photos=2, shots=2, variants=2)
    data = DataConfig(
        name="synthetic",
        letters="ABC",
        synthetic_root=str(tmp_path),
        synthetic=size,
        cache_dir=str(tmp_path / "cache"),
    )
    dataset, truth = load_dataset(data), pd.read_csv(tmp_path / PHOTOS_FILE)
    labels = np.concatenate([dataset.train.labels, dataset.test.labels])
    assert np.array_equal(
        truth["session"], [*dataset.train.groups["session"], *dataset.test.groups["session"]]
    )
    assert truth.groupby([truth["session"], labels])["photo"].nunique().tolist() == [2] * 3 * 3
    assert truth.groupby("photo")["session"].nunique().max() == 1


def test_a_file_beside_a_custom_set_names_its_sessions(data):
    def sessions() -> list[list[int]]:
        dataset = load_dataset(data)
        return [half.groups["session"].tolist() for half in (dataset.train, dataset.test)]

    assert sessions() == [[0, 1, 2, 3, 4], [0, 1, 2]]  # look-alikes
    files = pd.DataFrame({"file": ["test"] * 3 + ["train"] * 5, "row": [0, 1, 2, 4, 3, 2, 1, 0]})
    path = Path(data.root, PHOTOS_FILE)
    files.assign(session=[5, 8, 8, 5, 5, 7, 7, 7]).to_csv(path, index=False)
    assert sessions() == [[7, 7, 7, 5, 5], [5, 8, 8]]
    files.assign(session=range(8)).to_csv(path, index=False)
    assert sessions() == [[7, 6, 5, 4, 3], [0, 1, 2]], "a changed file is noticed"
    data = replace(data, letters="CAB")
    assert sessions() == [[7, 6, 5, 4], [0, 1, 2]]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("test,2,0\n", ""),
        ("test,2", "test,1"),
        ("session", "group"),
        ("2,0\n", "2,\n"),
        ("2,0\n", "2,x\n"),
    ],
    ids=["a row is missing", "a row is named twice", "no sessions", "no session", "no number"],
)
def test_a_file_that_does_not_name_every_session_is_refused(data, old: str, new: str):
    rows = [
        f"{half},{row},0\n" for half, count in (("train", 5), ("test", 3)) for row in range(count)
    ]
    path, content = Path(data.root, PHOTOS_FILE), "".join(["file,row,session\n", *rows])
    path.write_text(content.replace(old, new))
    for _ in range(2):
        with pytest.raises(
            DataError,
            match=rf"{PHOTOS_FILE} does not name a session for every row .*: correct or rem",
        ):
            load_dataset(data)
    path.write_text(content)
    assert set(load_dataset(data).train.groups["session"]) == {0}


@pytest.mark.real_data
def test_official_set_has_seven_sessions_of_two_whole_bursts_of_each_letter(real_root, tiny_cache):
    dataset, found = (
        load_dataset(DataConfig(root=str(real_root), cache_dir=str(tiny_cache))),
        pd.read_csv(SESSIONS),
    )
    halves = {"train": dataset.train, "test": dataset.test}
    photos = pd.concat(
        pd.DataFrame(
            {
                "half": name,
                "photo": half.photos,
                "label": half.labels,
                "session": half.groups["session"],
            }
        )
        for name, half in halves.items()
    ).drop_duplicates()
    assert photos.groupby(["session", "label"]).size().tolist() == [10] * 7 * 24
    bursts = photos.merge(found, validate="one_to_one").groupby("burst")  # merged by session too
    assert bursts.size().tolist() == [5] * 2 * 7 * 24
    assert bursts[["label", "session"]].nunique().eq(1).all(axis=None)


@pytest.mark.real_data
def test_real_set_is_the_official_one(real_root, tmp_path):
    official = load_dataset(DataConfig(root=str(real_root), cache_dir=str(tmp_path)))
    assert (official.kind, official.fingerprint) == ("official", OFFICIAL_FINGERPRINT)
    assert [len(half.images) for half in (official.train, official.test)] == [27_455, 7_172]
    assert [raw_label(LETTERS[label]) for label in official.train.labels[:5]] == [3, 6, 2, 2, 13]
