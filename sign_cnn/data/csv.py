"""Reads one CSV of the set and checks every value.

What is harmless is accepted: LF, CRLF or both, a byte-order mark, quotes around a whole value, leading zeros, blank
lines, no line end after the last row. Everything else is refused with file, line, column, value and what was expected.
"""

import re
from collections.abc import Iterator
from typing import IO, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from sign_cnn.data.csv_files import Source
from sign_cnn.data.dataset import IMAGE_SIZE
from sign_cnn.errors import DataError
from sign_cnn.letters import RAW_LABELS

COLUMNS = ("label", *(f"pixel{i}" for i in range(1, IMAGE_SIZE**2 + 1)))

MAX_LINE_BYTES = 16_384  # the longest sensible row has 3,924: 785 quoted values of three digits, commas
MAX_TEXT_BYTES = 1 << 30  # decompressed; some 340,000 rows, twelve times the real training set
BLOCK_BYTES = 1 << 19  # what numpy makes of it stays in the cache of the processor

_SEPARATORS = np.frombuffer(b"," * (len(COLUMNS) - 1) + b"\n", np.uint8)
_INTEGER = re.compile(rb'[0-9]+|"[0-9]+"')

Table = NDArray[np.uint8]  # (rows, 785): raw label, then pixels row by row


class Block(NamedTuple):
    """Some lines of a file."""

    first_line: int
    text: bytes  # whole lines, each ended by LF alone


def read(source: Source) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Images and labels of one CSV, in file order.

    Returns:
        Images uint8 (N, 28, 28), 0..255, and labels uint8 (N,), class index 0..23.

    Raises:
        DataError: if the file cannot be read, or anything in it is not as it should be.
    """
    with source.open() as stream:
        _check_header(stream, source)
        tables = [_parse(source, block) for block in _blocks(stream, source)]
    rows = sum(map(len, tables))
    if rows == 0:
        raise DataError(f"{source} holds no rows below its header; expected one image a line")
    images = np.concatenate([table[:, 1:] for table in tables]).reshape(rows, IMAGE_SIZE, IMAGE_SIZE)
    raw_labels = np.concatenate([table[:, 0] for table in tables])
    return images, np.searchsorted(RAW_LABELS, raw_labels).astype(np.uint8)


def _check_header(stream: IO[bytes], source: Source) -> None:
    line = stream.readline(MAX_LINE_BYTES + 1)
    if not line:
        raise DataError(f"{source} is empty; copy or download it again")
    if len(line) > MAX_LINE_BYTES:
        _refuse_long_line(source, 1)
    try:
        names = line.decode("utf-8-sig").rstrip("\r\n").split(",")
    except UnicodeDecodeError:
        raise _fault(source, 1, "not UTF-8 text, expected the header label,pixel1,…,pixel784") from None
    names = [name.removeprefix('"').removesuffix('"') for name in names]
    for number, (name, expected) in enumerate(zip(names, COLUMNS, strict=False), start=1):
        if name != expected:
            hint = _separator_hint(line)
            raise _fault(source, 1, f"column {number} of the header is {_shown(name)}, expected {expected!r}{hint}")
    if len(names) != len(COLUMNS):
        raise _fault(source, 1, f"{len(names)} columns in the header, expected {len(COLUMNS)}")


def _blocks(stream: IO[bytes], source: Source) -> Iterator[Block]:
    """The rows in pieces of bounded size, bounded line by line as well: what is absurd is refused before it is read."""
    line_number, total_bytes = 2, 0
    while block := stream.read(BLOCK_BYTES):
        if not block.endswith(b"\n"):
            rest = stream.readline(MAX_LINE_BYTES + 1)
            if len(rest) > MAX_LINE_BYTES:
                _refuse_long_line(source, line_number + block.count(b"\n"))
            block += rest if rest.endswith(b"\n") else rest + b"\n"
        for start in range(0, len(block) - MAX_LINE_BYTES, MAX_LINE_BYTES):
            if block.find(b"\n", start, start + MAX_LINE_BYTES) < 0:
                _refuse_long_line(source, line_number + block.count(b"\n", 0, start))
        total_bytes += len(block)
        if total_bytes > MAX_TEXT_BYTES:
            raise DataError(f"{source} holds more than {MAX_TEXT_BYTES >> 20} MiB of text; split it into smaller sets")
        yield Block(line_number, block.replace(b"\r\n", b"\n") if b"\r" in block else block)
        line_number += block.count(b"\n")


def _parse(source: Source, block: Block) -> Table:
    table = _parse_plain(block.text)
    return _parse_line_by_line(source, block) if table is None else table


def _parse_plain(text: bytes) -> Table | None:
    """The values of a block that is as it should be to the last byte, else None.

    Nothing but 785 numbers of one to three digits a line, with 784 commas: then the value that ends at a separator is
    made of the one to three bytes before it. Not pandas: with the checks that it needs (it takes `1e2` for an integer,
    and 2**64 + 1 for a 1) the first start on the real set took 1.8 to 2.1 s on two cores, against 1.2 to 1.5.
    """
    codes = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(codes < ord("0"))  # commas and line ends, as nothing else passes the next check
    rows, rest = divmod(len(ends), len(COLUMNS))
    if rest or codes.max() > ord("9") or (codes[ends].reshape(rows, len(COLUMNS)) != _SEPARATORS).any():
        return None
    lengths = np.diff(ends, prepend=-1) - 1
    if lengths.min() < 1 or lengths.max() > 3:
        return None
    digits = codes - np.uint8(ord("0"))
    values = digits[ends - 1].astype(np.uint16)
    values += np.where(lengths >= 2, digits[ends - 2], 0) * np.uint16(10)
    values += np.where(lengths == 3, digits[ends - 3], 0) * np.uint16(100)
    table = values.reshape(rows, len(COLUMNS))
    if table.max() > 255 or not np.isin(table[:, 0], RAW_LABELS).all():
        return None
    return table.astype(np.uint8)


def _parse_line_by_line(source: Source, block: Block) -> Table:
    """The slow way: takes what is unusual but harmless, and finds the first value that is neither."""
    rows = []
    for line_number, line in enumerate(block.text.split(b"\n"), start=block.first_line):
        if not line:
            continue
        fields = line.split(b",")
        if len(fields) != len(COLUMNS):
            hint = _separator_hint(line)
            raise _fault(source, line_number, f"{len(fields)} columns, expected {len(COLUMNS)}{hint}")
        rows.append([_value(*pair, source, line_number) for pair in zip(COLUMNS, fields, strict=True)])
    return np.array(rows, dtype=np.uint8).reshape(len(rows), len(COLUMNS))


def _value(column: str, field: bytes, source: Source, line_number: int) -> int:
    # Four digits are enough to be too large, and int() refuses thousands of them in a way of its own.
    value = int(field.strip(b'"').lstrip(b"0")[:4] or b"0") if _INTEGER.fullmatch(field) else -1
    allowed = RAW_LABELS if column == "label" else range(256)
    if value not in allowed:
        expected = "0..24 other than 9 (J and Z are motions)" if column == "label" else "0..255"
        found = _shown(field.decode("utf-8", "backslashreplace"))
        raise _fault(source, line_number, f"column {column} holds {found}, expected an integer {expected}")
    return value


def _separator_hint(line: bytes) -> str:
    return " separated by commas" if max(line.count(b";"), line.count(b"\t")) > line.count(b",") else ""


def _shown(text: str) -> str:
    return repr(text if len(text) <= 30 else f"{text[:30]}…") if text else "nothing"


def _refuse_long_line(source: Source, line_number: int) -> NoReturn:
    raise _fault(source, line_number, f"longer than {MAX_LINE_BYTES} bytes, expected {len(COLUMNS)} short numbers")


def _fault(source: Source, line_number: int, what: str) -> DataError:
    return DataError(f"{source}, line {line_number}: {what}; correct the file or fetch it again")
