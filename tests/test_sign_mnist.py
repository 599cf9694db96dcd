import gzip
import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from csv_text import TEXT, csv_text, write_pair

from sign_cnn.config import SyntheticConfig
from sign_cnn.data import sign_mnist
from sign_cnn.data.sign_mnist import OFFICIAL_FINGERPRINT, SESSIONS, SignMNISTDataModule
from sign_cnn.data.synthetic.pictures import make_pictures
from sign_cnn.errors import DataError
from sign_cnn.letters import LETTERS, PHOTOS_FILE

SMALL = {"train_photos": 4, "test_photos": 2, "shots": 2, "variants": 2}


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    """Settings for a set of five training rows and three test rows."""
    root = write_pair(tmp_path / "data", csv_text([0, 1, 2, 1, 24]), csv_text([2, 1, 0], seed=1))
    places = {"root": str(root), "cache_dir": str(tmp_path / "cache")}
    return {**places, "image_size": 8, "val_split": "none"}


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Count how many CSVs are read."""
    monkeypatch.setattr(sign_mnist, "read_csv", Mock(wraps=sign_mnist.read_csv))
    return sign_mnist.read_csv


def read(data: dict[str, Any], **changes: Any) -> SignMNISTDataModule:
    module = SignMNISTDataModule(**data | changes)
    module.setup()
    return module


def assert_same(one: SignMNISTDataModule, other: SignMNISTDataModule) -> None:
    assert one.identity.fingerprint == other.identity.fingerprint
    types = {"inputs": np.uint8, "similarity": np.float32}
    for split in ("train", "test"):
        rows, others = ({**vars(m.rows_of(split)[0])} for m in (one, other))
        rows, others = (arrays | arrays.pop("groups") for arrays in (rows, others))
        for name in rows:
            np.testing.assert_array_equal(rows[name], others[name])
            assert rows[name].dtype == types.get(name, np.int64)


def test_the_second_start_reads_no_csv_until_one_changes(data, parse):
    first = read(data)
    assert first.train_rows.inputs.shape == (5, 1, 8, 8)
    assert first.test_rows.labels.tolist() == [2, 1, 0]
    assert_same(first, read(data))
    assert parse.call_count == 2
    Path(data["root"], "sign_mnist_test.csv").write_text(csv_text([2, 1, 0], seed=2))
    assert read(data).identity.fingerprint != first.identity.fingerprint
    assert not np.array_equal(read(data).test_rows.inputs, first.test_rows.inputs)


def test_the_fingerprint_is_that_of_pixels_and_labels_however_they_are_stored(data, tmp_path):
    packed = gzip.compress(TEXT.encode())
    sets = [
        write_pair(tmp_path / "plain"),
        write_pair(tmp_path / "gz", packed, packed, ".csv.gz"),
        write_pair(tmp_path / "train pixels", csv_text(seed=1)),
        write_pair(tmp_path / "test pixels", test=csv_text(seed=1)),
        write_pair(tmp_path / "train labels", csv_text([2, 1] * 4)),
        write_pair(tmp_path / "test rows", test=csv_text((0, 1) * 3)),
    ]
    found = [SignMNISTDataModule(**data | {"root": str(r)}).identity.fingerprint for r in sets]
    assert found[0] == found[1]
    assert len(set(found)) == 5


def test_a_cache_with_one_wrong_bit_of_a_pixel_is_made_anew(data, parse, caplog):
    first = read(data)
    (path,) = Path(data["cache_dir"]).glob("*.npz")
    content = bytearray(path.read_bytes())
    content[400] ^= 1
    path.write_bytes(content)
    assert_same(first, read(data))
    assert_same(first, read(data))
    assert parse.call_count == 4
    assert str(path) in caplog.text


def test_a_cache_that_cannot_be_written_costs_a_warning(data, tmp_path, caplog):
    (tmp_path / "file").touch()
    module = read(data, cache_dir=str(tmp_path / "file" / "cache"))
    assert module.train_rows.inputs.shape == (5, 1, 8, 8)
    assert str(tmp_path / "file" / "cache") in caplog.text


def test_of_two_starts_at_once_one_reads_the_csvs(data, parse):
    together = threading.Barrier(2)

    def start(_: int) -> SignMNISTDataModule:
        together.wait()
        return read(data)

    with ThreadPoolExecutor(2) as pool:
        assert_same(*pool.map(start, range(2)))
    assert parse.call_count == 2


def test_a_set_is_known_as_custom_or_official(data, monkeypatch):
    custom = read(data).identity
    assert custom.kind == "custom"
    monkeypatch.setattr(sign_mnist, "OFFICIAL_FINGERPRINT", custom.fingerprint)
    assert read(data).identity.kind == "official"


def test_a_set_that_begins_as_the_official_one_is_said_to_lack_rows(data, monkeypatch):
    module = read(data)
    first = module.parsed["inputs"][:50].tobytes()
    monkeypatch.setattr(sign_mnist, "OFFICIAL_START", hashlib.sha256(first).hexdigest())
    assert f"{len(module.train_rows.labels)} and " in read(data).identity.description


def test_auto_takes_a_set_that_is_there_and_a_root_that_is_named_must_hold_one(data):
    assert read(data, source="auto").identity == read(data).identity
    for source in ("csv", "auto"):
        with pytest.raises(DataError, match="gone"):
            read(data, source=source, root="gone")


def test_letters_select_rows_and_order_the_classes(data):
    whole, some = read(data), read(data, letters="CAB")
    assert some.class_names == ["C", "A", "B"]
    assert some.train_rows.labels.tolist() == [1, 2, 0, 2]
    assert some.test_rows.labels.tolist() == [0, 2, 1]
    np.testing.assert_array_equal(some.train_rows.inputs, whole.train_rows.inputs[:4])
    assert some.identity.fingerprint == whole.identity.fingerprint


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"image_size": 28}, "data.image_size=8"), ({"letters": "DE"}, "classes D, E")],
)
def test_settings_that_do_not_fit_the_files_are_refused(data, changes, named):
    with pytest.raises(DataError, match=named):
        read(data, **changes)


def test_sessions_of_a_synthetic_set_are_those_it_was_made_in(tmp_path):
    settings = {"source": "synthetic", "letters": "ABC", "folds": 2, "synthetic": SMALL}
    data = read({"cache_dir": str(tmp_path / "cache")}, **settings)
    _, truth = make_pictures(SyntheticConfig(**SMALL), "ABC")
    truth = truth.sort_values("split", ascending=False, kind="stable")
    rows = data.train_rows, data.test_rows
    labels = np.concatenate([part.labels for part in rows])
    sessions = np.concatenate([part.groups["session"] for part in rows])
    assert np.array_equal(truth["session"], sessions)
    assert truth.groupby([sessions, labels])["photo"].nunique().tolist() == [2] * 3 * 3
    assert truth.groupby("photo")["session"].nunique().max() == 1


ROWS = [*(("test", row) for row in range(3)), *(("train", row) for row in reversed(range(5)))]


def write_sessions(data: dict[str, Any], numbers: str, old: str = "", new: str = "") -> None:
    rows = [f"{split},{row},{n}\n" for (split, row), n in zip(ROWS, numbers, strict=True)]
    text = "".join(["file,row,session\n", *rows]).replace(old or "\n", new or "\n")
    Path(data["root"], PHOTOS_FILE).write_text(text)


def test_a_file_beside_a_custom_set_names_its_sessions_else_they_are_lookalikes(data):
    def sessions(**changes: Any) -> list[list[int]]:
        return [rows.groups["session"].tolist() for rows in read(data, **changes).load()]

    assert read(data, val_split="session", folds=2).val_split == "lookalike"
    assert sessions() == [[0, 1, 2, 3, 4], [0, 1, 2]]
    write_sessions(data, "58855777")
    assert sessions() == [[7, 7, 7, 5, 5], [5, 8, 8]]
    assert sessions(letters="CAB") == [[7, 7, 7, 5], [5, 8, 8]]


@pytest.mark.parametrize(
    ("old", "new"), [("test,2", "test,1"), ("test,2,0", "\n"), ("2,0", "2,x"), ("2,0", "2,")]
)
def test_a_file_that_does_not_name_every_session_is_refused(data, old: str, new: str):
    write_sessions(data, "00000000", old, new)
    for _ in range(2):
        with pytest.raises(DataError, match=PHOTOS_FILE):
            read(data)
    write_sessions(data, "00000000")
    assert set(read(data).train_rows.groups["session"]) == {0}


@pytest.mark.real_data
def test_the_real_set_is_the_official_one_of_seven_sessions_of_two_bursts_of_each_letter(
    real_root, tiny_cache
):
    module = SignMNISTDataModule(root=str(real_root), cache_dir=str(tiny_cache))
    assert module.identity.fingerprint == OFFICIAL_FINGERPRINT
    tables, (train, test) = [], module.load()
    assert (len(train.inputs), len(test.inputs)) == (27_455, 7_172)
    assert "".join(LETTERS[label] for label in train.labels[:5]) == "DGCCN"
    for split, rows in (("train", train), ("test", test)):
        columns = {"photo": rows.photos, "label": rows.labels, "session": rows.groups["session"]}
        tables.append(pd.DataFrame(columns).assign(split=split))
    photos = pd.concat(tables).drop_duplicates()
    assert photos.groupby(["session", "label"]).size().tolist() == [10] * 7 * 24
    bursts = photos.merge(pd.read_csv(SESSIONS), validate="one_to_one").groupby("burst")
    assert bursts.size().tolist() == [5] * 2 * 7 * 24
    assert bursts[["label", "session"]].nunique().eq(1).all(axis=None)
