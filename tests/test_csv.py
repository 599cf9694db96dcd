import contextlib
import gzip
import lzma
from pathlib import Path

import numpy as np
import pytest
from csv_text import TEXT, write_pair, zipped
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sign_cnn.data.sign_mnist import find_csvs, read_csv
from sign_cnn.errors import DataError
from sign_cnn.letters import FILES

TABLE = np.array([line.split(",") for line in TEXT.splitlines()[1:]], np.uint8)

PACKED = {
    ".csv": TEXT.encode(),
    ".csv.gz": gzip.compress(TEXT.encode()),
    ".csv.xz": lzma.compress(TEXT.encode()),
    ".csv.zip": zipped(dict.fromkeys(FILES, TEXT)),
}


def read(root: Path, content: str | bytes = TEXT) -> tuple[np.ndarray, np.ndarray]:
    return read_csv(write_pair(root, content) / FILES[0], FILES[0])


def assert_is_text(images: np.ndarray, labels: np.ndarray) -> None:
    assert images.dtype == labels.dtype == np.uint8
    np.testing.assert_array_equal(images, TABLE[:, 1:].reshape(-1, 8, 8))
    np.testing.assert_array_equal(labels, TABLE[:, 0])


def assert_both_are_found(root: Path) -> None:
    for path, name in zip(find_csvs(root), FILES, strict=True):
        assert_is_text(*read_csv(path, name))


@pytest.mark.parametrize("suffix", PACKED)
def test_each_way_to_store_the_pair_is_found_and_read(tmp_path: Path, suffix: str):
    for name in FILES:
        (tmp_path / name).with_suffix(suffix).write_bytes(PACKED[suffix])
    assert_both_are_found(tmp_path)


def test_kaggles_archive_is_read(tmp_path: Path):
    members = {f"{Path(name).stem}/{name}": "label" for name in FILES}  # the same again, nested
    (tmp_path / "archive.zip").write_bytes(zipped(members | dict.fromkeys(FILES, TEXT)))
    assert_both_are_found(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["archive.zip"]


HARMLESS = {
    "CRLF": TEXT.replace("\n", "\r\n"),
    "byte-order mark": "\ufeff" + TEXT,
    "blank lines": TEXT.replace("\n", "\n\n"),
    "no line end after the last row": TEXT.rstrip("\n"),
    "all quoted": "\n".join(f'"{line}"' for line in TEXT.splitlines()).replace(",", '","'),
}


@pytest.mark.parametrize("content", HARMLESS.values(), ids=HARMLESS)
def test_harmless_variant_gives_the_same_values(tmp_path: Path, content: str):
    assert_is_text(*read(tmp_path, content))


SIGNS = b'"" , \n \r " \0 -1 256 1e2 nan \xe9 ; 999999999999999999999999999999'.split(b" ")
PIECES = st.one_of(st.binary(max_size=40), st.sampled_from(SIGNS))
EDITS = st.tuples(st.integers(0, len(TEXT)), PIECES, st.integers(0, 20))


@settings(max_examples=100, deadline=None, suppress_health_check=[*HealthCheck])
@given(edits=st.lists(EDITS, min_size=1, max_size=3))
def test_spoiled_csv_is_refused_or_read_as_whole_pictures(tmp_path: Path, edits: list[tuple]):
    content = TEXT.encode()
    for place, piece, length in edits:
        content = content[:place] + piece + content[place + length :]
    with contextlib.suppress(DataError):
        images, labels = read(tmp_path, content)
        assert images.shape == (len(labels), 8, 8)
