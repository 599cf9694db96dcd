import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sample_csv import HEADER, TABLE, TEXT, changed, table, text

from sign_cnn.data import csv
from sign_cnn.data.csv import COLUMNS
from sign_cnn.data.csv_files import Source
from sign_cnn.errors import DataError
from sign_cnn.letters import RAW_LABELS


def write(folder: Path, content: str | bytes) -> Source:
    path = folder / "sign_mnist_train.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Source(path)


def assert_is_sample(source: Source) -> None:
    images, labels = csv.read(source)
    assert images.dtype == labels.dtype == np.uint8
    np.testing.assert_array_equal(images.reshape(len(TABLE), 784), TABLE[:, 1:])
    np.testing.assert_array_equal(np.array(RAW_LABELS)[labels], TABLE[:, 0])


def test_labels_become_class_indices_and_pixels_rows_of_the_image(tmp_path: Path) -> None:
    rows = np.zeros((24, 785), np.uint8)
    rows[:, 0] = RAW_LABELS
    rows[:, 1 + 28] = 255  # first pixel of the second line
    images, labels = csv.read(write(tmp_path, text(rows)))
    assert labels.tolist() == list(range(24))
    assert images.shape == (24, 28, 28)
    assert images[:, 1, 0].min() == 255
    assert images.sum() == 24 * 255


HARMLESS = {
    "as it should be": TEXT,
    "CRLF": TEXT.replace("\n", "\r\n"),
    "mixed line ends": TEXT.replace("\n", "\r\n", 2),
    "byte-order mark": "\ufeff" + TEXT,
    "byte-order mark and CRLF": "\ufeff" + TEXT.replace("\n", "\r\n"),
    "blank lines at the end": TEXT + "\n\r\n\n",
    "a blank line between": TEXT.replace("\n", "\n\n", 2),
    "no line end after the last row": TEXT.rstrip("\n"),
    "quoted header": TEXT.replace(HEADER, ",".join(f'"{name}"' for name in COLUMNS)),
    "all quoted": "\n".join(",".join(f'"{field}"' for field in line.split(",")) for line in TEXT.splitlines()) + "\n",
    "leading zeros": changed(2, "pixel5", "0" * 5000 + str(TABLE[0, 5])),
}


@pytest.mark.parametrize("content", HARMLESS.values(), ids=HARMLESS)
def test_harmless_variant_gives_the_same_values(tmp_path: Path, content: str) -> None:
    assert_is_sample(write(tmp_path, content))


@pytest.mark.parametrize("name", ["as it should be", "CRLF", "mixed line ends", "byte-order mark"])
def test_usual_file_is_never_read_line_by_line(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "_parse_line_by_line", None)
    assert_is_sample(write(tmp_path, HARMLESS[name]))


def test_fault_far_down_is_found_at_its_line_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "BLOCK_BYTES", 10_000)
    content = text(table(40)).replace("\n", "\r\n")
    assert len(csv.read(write(tmp_path, content))[1]) == 40
    lines = content.split("\r\n")
    lines[34] = lines[34].replace(",", ",x", 1)
    with pytest.raises(DataError, match="line 35: column pixel1 "):
        csv.read(write(tmp_path, "\r\n".join(lines)))


def test_long_line_that_crosses_blocks_is_refused_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv, "BLOCK_BYTES", 5000)
    with pytest.raises(DataError, match="line 5: longer than 16384 bytes"):
        csv.read(write(tmp_path, TEXT + "1" * 20_000 + "\n"))


def test_file_that_unpacks_beyond_the_limit_is_refused_without_unpacking_it_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv, "MAX_TEXT_BYTES", 1 << 20)
    monkeypatch.setattr(csv, "BLOCK_BYTES", 1 << 16)
    path = tmp_path / "sign_mnist_train.csv.gz"
    path.write_bytes(gzip.compress((HEADER + "\n" * (1 << 24)).encode()))
    with pytest.raises(DataError, match="more than 1 MiB of text"):
        csv.read(Source(path))


VALUES = st.sampled_from(
    ["0", "7", "24", "255", "256", "007", "1007", '"7"', "", " 1", "1.0", "-1", "1\r", "\n", "1,2", "x"]
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5 * 785 - 1), VALUES), max_size=2))
def test_fast_way_never_takes_what_the_slow_way_refuses(edits: list[tuple[int, str]]) -> None:
    fields = ["1"] * (5 * 785)
    for place, value in edits:
        fields[place] = value
    block = "".join(",".join(fields[row * 785 : (row + 1) * 785]) + "\n" for row in range(5)).encode()
    fast = csv._parse_plain(block)
    if fast is not None:
        np.testing.assert_array_equal(fast, csv._parse_line_by_line(Source(Path("any.csv")), csv.Block(1, block)))
    else:
        assert edits
