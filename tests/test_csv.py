import gzip
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from sign_cnn.data import csv
from sign_cnn.data.csv import COLUMNS, Source
from sign_cnn.errors import DataError
from sign_cnn.letters import RAW_LABELS

HEADER = ",".join(COLUMNS)


def table(rows: int = 3) -> NDArray[np.uint8]:
    """Raw labels and pixels as a CSV holds them, each value of the range among them."""
    rng = np.random.default_rng(rows)
    pixels = rng.integers(0, 256, (rows, 784))
    return np.column_stack([rng.choice(RAW_LABELS, rows), pixels]).astype(np.uint8)


def text(rows: NDArray[np.uint8]) -> str:
    return "\n".join([HEADER, *(",".join(map(str, row)) for row in rows)]) + "\n"


TABLE = table()
TEXT = text(TABLE)


def write(folder: Path, content: str | bytes) -> Source:
    path = folder / "sign_mnist_train.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return Source(path)


def changed(line: int, column: str, value: str) -> str:
    """The sample with one value replaced; lines count from 1."""
    lines = TEXT.split("\n")
    fields = lines[line - 1].split(",")
    fields[COLUMNS.index(column)] = value
    lines[line - 1] = ",".join(fields)
    return "\n".join(lines)


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


def lines_with(change: Callable[[str], str], line: int) -> str:
    lines = TEXT.split("\n")
    lines[line - 1] = change(lines[line - 1])
    return "\n".join(lines)


BAD_VALUES = {
    "a float": ("pixel784", "1.0", "'1.0'"),
    "an exponent": ("pixel2", "1e2", "'1e2'"),
    "a space": ("pixel2", " 1", "' 1'"),
    "a plus sign": ("pixel2", "+1", "'+1'"),
    "an underscore": ("pixel2", "1_0", "'1_0'"),
    "Arabic digits": ("pixel2", "٣", "'٣'"),
    "NaN": ("pixel2", "nan", "'nan'"),
    "nothing": ("pixel2", "", "nothing"),
    "nothing in quotes": ("pixel2", '""', "'\"\"'"),
    "half a quote": ("pixel2", '"1', "'\"1'"),
    "a negative pixel": ("pixel2", "-1", "'-1'"),
    "256": ("pixel2", "256", "'256'"),
    "four digits, the last three a pixel": ("pixel2", "1007", "'1007'"),
    "a huge integer": ("pixel2", "9" * 5000, f"'{'9' * 30}…'"),
    "2 to the 64 and 1": ("pixel2", str(2**64 + 1), f"'{2**64 + 1}'"),
    "a lone carriage return": ("pixel2", "1\r2", r"'1\r2'"),
    "a zero byte": ("pixel2", "\0", r"'\x00'"),
    "the label of J": ("label", "9", "'9'"),
    "the label of Z": ("label", "25", "'25'"),
    "label 26": ("label", "26", "'26'"),
    "label 255": ("label", "255", "'255'"),
    "a negative label": ("label", "-1", "'-1'"),
    "a letter": ("label", "A", "'A'"),
    "no label": ("label", "", "nothing"),
}


@pytest.mark.parametrize(("column", "value", "shown"), BAD_VALUES.values(), ids=BAD_VALUES)
@pytest.mark.parametrize("line", [2, 4])
def test_bad_value_is_named_with_file_line_column_and_what_was_expected(
    tmp_path: Path, column: str, value: str, shown: str, line: int
) -> None:
    source = write(tmp_path, changed(line, column, value))
    with pytest.raises(DataError) as caught:
        csv.read(source)
    expected = "0..24 other than 9" if column == "label" else "0..255"
    assert str(caught.value).startswith(
        f"{source.path}, line {line}: column {column} holds {shown}, expected an integer {expected}"
    )


BAD_FILES = {
    "zero bytes": ("", "is empty"),
    "header alone": (HEADER + "\n", "holds no rows"),
    "header and blank lines": (HEADER + "\n\n\n", "holds no rows"),
    "header missing": (TEXT.split("\n", 1)[1], "line 1: column 1 of the header is "),
    "wrong column name": (TEXT.replace("pixel3,", "pixle3,"), "'pixle3', expected 'pixel3'"),
    "duplicated column name": (TEXT.replace("pixel3,", "pixel2,"), "column 4 of the header is 'pixel2'"),
    "capital column name": (TEXT.replace("label", "Label"), "'Label', expected 'label'"),
    "783 pixels in the header": (TEXT.replace(",pixel784", ""), "784 columns in the header, expected 785"),
    "785 pixels in the header": (TEXT.replace("784\n", "784,pixel785\n"), "786 columns in the header, expected 785"),
    "header twice": (TEXT.replace("\n", f"\n{HEADER}\n", 1), "line 2: column label holds 'label'"),
    "semicolons": (TEXT.replace(",", ";"), "separated by commas"),
    "semicolons below the header": (HEADER + TEXT.removeprefix(HEADER).replace(",", ";"), "separated by commas"),
    "tabs": (TEXT.replace(",", "\t"), "separated by commas"),
    "a missing column": (lines_with(lambda line: line.rpartition(",")[0], 3), "line 3: 784 columns, expected 785"),
    "an extra column": (lines_with(lambda line: line + ",7", 3), "line 3: 786 columns, expected 785"),
    "an extra column in each row": (TEXT.replace("\n", ",7\n").replace("784,7", "784"), "line 2: 786 columns"),
    "a comma too many": (lines_with(lambda line: line + ",", 3), "line 3: 786 columns"),
    "two rows in one line": (TEXT.rpartition("\n")[0] + "," + TEXT.split("\n")[1], "line 4: 1570 columns"),
    "a value moved to the next row": (re.sub(r",(\d+)\n(\d+)", r"\n\1,\2", TEXT), "line 2: 784 columns"),
    "last row cut short": (TEXT[: TEXT.rindex(",") - 100], "line 4: "),
    "blank line and a bad row": (TEXT.replace("\n", "\n\n", 1) + "1\n", "line 6: 1 columns"),
    "UTF-16": (TEXT.encode("utf-16"), "line 1: not UTF-8 text"),
    "Latin-1 in a value": (changed(2, "pixel1", "é").encode("latin-1"), r"column pixel1 holds '\\xe9'"),
    "classic Mac line ends": (TEXT.replace("\n", "\r"), "line 1: "),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "line 1: not UTF-8 text"),
    "a long header": ("label," * 3000 + "\n", "line 1: longer than 16384 bytes"),
    "a long row": (TEXT + "1" * 40_000 + "\n", "line 5: longer than 16384 bytes"),
    "a long last row": (TEXT + "1" * 40_000, "line 5: longer than 16384 bytes"),
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_file_is_refused(tmp_path: Path, content: str | bytes, message: str) -> None:
    source = write(tmp_path, content)
    with pytest.raises(DataError) as caught:
        csv.read(source)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(source.path))
    assert "\n" not in str(caught.value)


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


def test_sparse_file_of_five_gigabytes_is_refused_at_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "sign_mnist_train.csv"
    with path.open("wb") as file:
        file.truncate(5 << 30)
    with pytest.raises(DataError, match="line 1: longer than"):
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


def test_reader_agrees_with_pandas(tiny_root: Path) -> None:
    pd = pytest.importorskip("pandas")
    found = csv.find(tiny_root)
    for source in (found.train, found.test):
        images, labels = csv.read(source)
        table = pd.read_csv(source.path, index_col=False)
        assert np.array_equal(images.reshape(len(images), -1), table.iloc[:, 1:].to_numpy())
        assert np.array_equal(np.array(RAW_LABELS)[labels], table["label"].to_numpy())
