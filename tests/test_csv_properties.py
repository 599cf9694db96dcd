"""What holds for any input of the CSV reader."""

import contextlib
import gzip
import io
import lzma
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from sample_csv import HEADER, TEXT, text

from sign_cnn.data import csv, csv_files
from sign_cnn.data.csv_files import STEMS, Source
from sign_cnn.errors import DataError
from sign_cnn.letters import RAW_LABELS

QUICK = settings(max_examples=200, deadline=None)
MANY = settings(max_examples=20_000, deadline=None, suppress_health_check=list(HealthCheck))


@dataclass(frozen=True)
class Memory(Source):
    """A CSV that lies nowhere."""

    content: bytes = b""

    @contextlib.contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        with self.reading():
            yield io.BytesIO(self.content)


def read(content: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return csv.read(Memory(Path("any.csv"), content=content))


TABLES = st.integers(1, 4).flatmap(
    lambda rows: st.tuples(
        arrays(np.uint8, (rows, 1), elements=st.sampled_from(RAW_LABELS)),
        arrays(np.uint8, (rows, 784), elements=st.integers(0, 255)),
    ).map(np.hstack)
)


@st.composite
def written(draw: st.DrawFn) -> tuple[NDArray[np.uint8], bytes]:
    """A table, and one of the many ways in which it may be written."""
    table = draw(TABLES)
    style = draw(st.sampled_from(["{}", '"{}"', "0{}", '"00{}"']))
    lines = [HEADER, *(",".join(style.format(value) for value in row) for row in table)]
    ends = draw(st.lists(st.sampled_from(["\n", "\r\n", "\n\n", "\r\n\r\n\n"]), min_size=len(lines) - 1, max_size=4))
    ends += ["\n"] * (len(lines) - 1 - len(ends)) + [draw(st.sampled_from(["", "\n", "\r\n", "\n\r\n"]))]
    mark = draw(st.sampled_from(["", "\ufeff"]))
    return table, (mark + "".join(line + end for line, end in zip(lines, ends[-len(lines) :], strict=True))).encode()


@settings(max_examples=80, deadline=None)
@given(written())
def test_what_is_written_as_a_csv_is_read_whatever_its_line_ends_and_quotes(
    case: tuple[NDArray[np.uint8], bytes],
) -> None:
    table, content = case
    images, labels = read(content)
    np.testing.assert_array_equal(images.reshape(len(table), 784), table[:, 1:])
    np.testing.assert_array_equal(np.array(RAW_LABELS)[labels], table[:, 0])


@settings(max_examples=20, deadline=None)
@given(written())
def test_pandas_reads_the_same(case: tuple[NDArray[np.uint8], bytes]) -> None:
    pd = pytest.importorskip("pandas")
    images, labels = read(case[1])
    table = pd.read_csv(io.BytesIO(case[1]), index_col=False).to_numpy()
    np.testing.assert_array_equal(images.reshape(len(images), -1), table[:, 1:])
    np.testing.assert_array_equal(np.array(RAW_LABELS)[labels], table[:, 0])


@settings(max_examples=50, deadline=None)
@given(TABLES, st.data())
def test_a_space_anywhere_in_a_row_is_refused(table: NDArray[np.uint8], data: st.DataObject) -> None:
    content = text(table)
    start = content.index("\n") + 1
    place = data.draw(st.integers(start, len(content) - 2))
    blank = data.draw(st.sampled_from([" ", "\t", "\u00a0"]))
    with pytest.raises(DataError, match=r"any\.csv, line \d+: "):
        read((content[:place] + blank + content[place:]).encode())


PIECES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([b"", b",", b"\n", b"\r", b'"', b"\0", b"-1", b"256", b"1e2", b"nan", "é".encode("latin-1"), b";"]),
)


@st.composite
def spoiled(draw: st.DrawFn, whole: bytes = TEXT.encode()) -> bytes:
    """A sound file with some of its pieces replaced, or nothing of the kind."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from([b"", HEADER.encode() + b"\n"])) + draw(st.binary(max_size=200))
    content = whole
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(content)))
        content = content[:place] + draw(PIECES) + content[place + draw(st.integers(0, 20)) :]
    return content


def check_fuzzed(content: bytes) -> None:
    """It is refused as data, or else read as the slow and simple way reads it."""
    refused = None
    try:
        images, labels = read(content)
    except DataError as error:
        refused = str(error)
    if refused is not None:
        assert refused.startswith("any.csv")
        assert "\n" not in refused
        return
    rows = content.decode("utf-8-sig").replace('"', "").splitlines()[1:]
    values = np.array([[int(value) for value in row.split(",")] for row in rows if row])
    np.testing.assert_array_equal(images.reshape(len(images), 784), values[:, 1:])
    np.testing.assert_array_equal(np.array(RAW_LABELS)[labels], values[:, 0])


@QUICK
@given(spoiled())
def test_a_spoiled_csv_is_refused_or_read_as_it_says(content: bytes) -> None:
    check_fuzzed(content)


@pytest.mark.torture
@MANY
@given(spoiled())
def test_many_spoiled_csvs_are_refused_or_read_as_they_say(content: bytes) -> None:
    check_fuzzed(content)


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for stem in STEMS:
            archive.writestr(f"{stem}.csv", content)
    return file.getvalue()


PACKED: dict[str, Callable[[bytes], bytes]] = {".csv.gz": gzip.compress, ".csv.xz": lzma.compress, ".csv.zip": zipped}


def check_spoiled_archive(folder: Path, suffix: str, content: bytes) -> None:
    for stem in STEMS:
        (folder / f"{stem}{suffix}").write_bytes(content)
    with contextlib.suppress(DataError):
        images, _ = csv.read(csv_files.find(folder).train)
        np.testing.assert_array_equal(images, read(TEXT.encode())[0])


@pytest.mark.parametrize("suffix", PACKED)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_spoiled_archive_is_refused_or_read_as_it_was(suffix: str, tmp_path: Path, data: st.DataObject) -> None:
    check_spoiled_archive(tmp_path, suffix, data.draw(spoiled(PACKED[suffix](TEXT.encode()))))


@pytest.mark.torture
@pytest.mark.parametrize("suffix", PACKED)
@settings(parent=MANY, max_examples=5_000)
@given(data=st.data())
def test_many_spoiled_archives_are_refused_or_read_as_they_were(
    suffix: str, tmp_path: Path, data: st.DataObject
) -> None:
    check_spoiled_archive(tmp_path, suffix, data.draw(spoiled(PACKED[suffix](TEXT.encode()))))
