"""CSVs and archives that are no data set."""

import gzip
import lzma
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from broken import Case, Corpus
from sample_csv import HEADER, TABLE, TEXT, changed, lines_with, text, write_pair, zipped

from sign_cnn.data.csv_files import STEMS

TRAIN, TEST = (f"{stem}.csv" for stem in STEMS)


def _csv(name: str, content: str | bytes, words: str) -> Case:
    return Case(name, lambda folder: write_pair(folder, content), words)


def _value(name: str, column: str, value: str, shown: str) -> Case:
    expected = "0..24 other than 9 (J and Z are motions)" if column == "label" else "0..255"
    words = f"{TRAIN}, line 3: column {column} holds {shown}, expected an integer {expected}; correct the file"
    return _csv(name, changed(3, column, value), words)


VALUES = [
    _value("a float", "pixel784", "1.0", "'1.0'"),
    _value("an exponent", "pixel2", "1e2", "'1e2'"),
    _value("a space", "pixel2", " 1", "' 1'"),
    _value("a plus sign", "pixel2", "+1", "'+1'"),
    _value("an underscore", "pixel2", "1_0", "'1_0'"),
    _value("Arabic digits", "pixel2", "٣", "'٣'"),
    _value("NaN", "pixel2", "nan", "'nan'"),
    _value("nothing", "pixel2", "", "nothing"),
    _value("nothing in quotes", "pixel2", '""', "'\"\"'"),
    _value("half a quote", "pixel2", '"1', "'\"1'"),
    _value("a negative pixel", "pixel2", "-1", "'-1'"),
    _value("256", "pixel2", "256", "'256'"),
    _value("four digits, the last three a pixel", "pixel2", "1007", "'1007'"),
    _value("a huge integer", "pixel2", "9" * 5000, f"'{'9' * 30}…'"),
    _value("2 to the 64 and 1", "pixel2", str(2**64 + 1), f"'{2**64 + 1}'"),
    _value("a lone carriage return", "pixel2", "1\r2", r"'1\r2'"),
    _value("a zero byte", "pixel2", "\0", r"'\x00'"),
    _value("the label of J", "label", "9", "'9'"),
    _value("the label of Z", "label", "25", "'25'"),
    _value("label 26", "label", "26", "'26'"),
    _value("label 255", "label", "255", "'255'"),
    _value("a negative label", "label", "-1", "'-1'"),
    _value("a letter", "label", "A", "'A'"),
    _value("no label", "label", "", "nothing"),
]

FILES = [
    _csv("zero bytes", "", "is empty; copy or download it again"),
    _csv("header alone", HEADER + "\n", "holds no rows"),
    _csv("header and blank lines", HEADER + "\n\n\n", "holds no rows"),
    _csv("header missing", TEXT.split("\n", 1)[1], "line 1: column 1 of the header is "),
    _csv("wrong column name", TEXT.replace("pixel3,", "pixle3,"), "'pixle3', expected 'pixel3'"),
    _csv("duplicated column name", TEXT.replace("pixel3,", "pixel2,"), "column 4 of the header is 'pixel2'"),
    _csv("capital column name", TEXT.replace("label", "Label"), "'Label', expected 'label'"),
    _csv("783 pixels in the header", TEXT.replace(",pixel784", ""), "784 columns in the header, expected 785"),
    _csv("785 pixels in the header", TEXT.replace("784\n", "784,pixel785\n"), "786 columns in the header"),
    _csv("header twice", TEXT.replace("\n", f"\n{HEADER}\n", 1), "line 2: column label holds 'label'"),
    _csv("byte-order mark twice", "\ufeff\ufeff" + TEXT, r"column 1 of the header is '\ufefflabel'"),
    _csv("semicolons", TEXT.replace(",", ";"), "separated by commas"),
    _csv("semicolons below the header", HEADER + TEXT.removeprefix(HEADER).replace(",", ";"), "separated by commas"),
    _csv("tabs", TEXT.replace(",", "\t"), "separated by commas"),
    _csv("a row in one pair of quotes", lines_with('"{}"'.format, 3), "line 3: column label holds "),
    _csv("a missing column", lines_with(lambda line: line.rpartition(",")[0], 3), "line 3: 784 columns, expected 785"),
    _csv("an extra column", lines_with(lambda line: line + ",7", 3), "line 3: 786 columns, expected 785"),
    _csv("an extra column in each row", TEXT.replace("\n", ",7\n").replace("784,7", "784"), "line 2: 786 columns"),
    _csv("a comma too many", lines_with(lambda line: line + ",", 3), "line 3: 786 columns"),
    _csv("two rows in one line", TEXT.rpartition("\n")[0] + "," + TEXT.split("\n")[1], "line 4: 1570 columns"),
    _csv("a value moved to the next row", re.sub(r",(\d+)\n(\d+)", r"\n\1,\2", TEXT), "line 2: 784 columns"),
    _csv("last row cut short", TEXT[: TEXT.rindex(",") - 100], "line 4: "),
    _csv("blank line and a bad row", TEXT.replace("\n", "\n\n", 1) + "1\n", "line 6: 1 columns"),
    _csv("UTF-16", TEXT.encode("utf-16"), "line 1: not UTF-8 text"),
    _csv("UTF-16 without a mark", TEXT.encode("utf-16-be"), "line 1: column 1 of the header is "),
    _csv("Latin-1 in a value", changed(2, "pixel1", "é").encode("latin-1"), r"column pixel1 holds '\\xe9'"),
    _csv("classic Mac line ends", TEXT.replace("\n", "\r"), "line 1: "),
    _csv("a picture", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "line 1: not UTF-8 text"),
    _csv("a web page", "<!DOCTYPE html>\n<title>Sign in</title>\n", "column 1 of the header is '<!DOCTYPE html>'"),
    _csv("a long header", "label," * 3000 + "\n", "line 1: longer than 16384 bytes"),
    _csv("a long row", TEXT + "1" * 40_000 + "\n", "line 5: longer than 16384 bytes"),
    _csv("a long last row", TEXT + "1" * 40_000, "line 5: longer than 16384 bytes"),
    _csv("one letter alone", text(np.column_stack([np.full(3, 10), TABLE[:, 1:]])), "shows the letter K alone"),
    _csv("flat pictures", text(np.column_stack([TABLE[:, 0], np.full((3, 784), 7)])), "has 7 for every pixel"),
    Case("only the test half is bad", lambda folder: write_pair(folder, test="label\n"), f"{TEST}, line 1: 1 columns"),
]


def _set(prefix: str = "", train: bytes = TEXT.encode()) -> dict[str, bytes]:
    return {prefix + TRAIN: train, prefix + TEST: TEXT.encode()}


def _archive(name: str, content: bytes, words: str) -> Case:
    def make(folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        (folder / "archive.zip").write_bytes(content)
        return folder

    return Case(name, make, words)


def _packed(name: str, suffix: str, content: bytes, words: str) -> Case:
    return Case(name, lambda folder: write_pair(folder, content, content, suffix), words)


def _half(pack: Callable[[bytes], bytes]) -> bytes:
    packed = pack(TEXT.encode())
    return packed[: len(packed) // 2]


def _one_csv(content: bytes) -> bytes:
    return zipped({TRAIN: content, TEST: content})


def _with_byte(content: bytes, offset: int, change: Callable[[int], int]) -> bytes:
    """A zip with one byte of its first directory entry changed."""
    changed = bytearray(content)
    place = content.index(b"PK\x01\x02") + offset
    changed[place] = change(changed[place])
    return bytes(changed)


def _with_spoiled_name(content: bytes) -> bytes:
    """A zip whose first member is said to have a name in UTF-8, and has not."""
    changed = bytearray(content)
    changed[7] |= 8
    changed[30] = 0x99
    return bytes(changed)


BOMB = (HEADER + "\n" * (8 << 20)).encode()  # 8 MiB of nothing, in 8 kB; the tests lower the limit, not the bomb

ARCHIVES = [
    _packed("gzip cut short", ".csv.gz", _half(gzip.compress), "is damaged or cut short"),
    _packed("xz cut short", ".csv.xz", _half(lzma.compress), "is damaged or cut short"),
    _packed("zip cut short", ".csv.zip", _half(_one_csv), "is damaged or cut short"),
    _packed("text named .gz", ".csv.gz", TEXT.encode(), "is damaged or cut short (Not a gzipped file"),
    _packed("text named .xz", ".csv.xz", TEXT.encode(), "is damaged or cut short"),
    _packed("text named .zip", ".csv.zip", TEXT.encode(), "is damaged or cut short"),
    _packed("nothing named .gz", ".csv.gz", b"", "is empty"),
    _packed("gzip of gzip", ".csv.gz", gzip.compress(gzip.compress(TEXT.encode())), "line 1: not UTF-8 text"),
    _packed("gzip bomb", ".csv.gz", gzip.compress(BOMB), "more than 1 MiB of text"),
    _packed("xz bomb", ".csv.xz", lzma.compress(BOMB), "more than 1 MiB of text"),
    _packed("zip bomb", ".csv.zip", _one_csv(BOMB), "more than 1 MiB of text"),
    _packed("zip of something else", ".csv.zip", zipped({"notes.csv": b""}), f"{TRAIN}.zip holds no {TRAIN}"),
    _archive("zip without the CSVs", zipped({"notes.txt": b""}), "no Sign Language MNIST in "),
    _archive("zip with half a pair", zipped({TRAIN: TEXT.encode()}), f"({TRAIN}) but no {TEST}"),
    _archive("paths upwards", zipped(_set("../")), "no Sign Language MNIST in "),
    _archive("absolute paths", zipped(_set("/")), "no Sign Language MNIST in "),
    _archive("paths upwards half-way", zipped(_set("a/../../")), "no Sign Language MNIST in "),
    _archive("empty zip", zipped({}), "no Sign Language MNIST in "),
    _archive(
        "encrypted zip", _with_byte(zipped(_set()), 8, lambda flags: flags | 1), f"archive.zip ({TRAIN}) is damaged"
    ),
    _archive("unknown packing", _with_byte(zipped(_set()), 10, lambda _: 99), f"archive.zip ({TRAIN}) is damaged"),
    _archive("wrong checksum", _with_byte(zipped(_set()), 16, lambda byte: byte ^ 1), "Bad CRC-32"),
    _archive("a name that is no text", _with_spoiled_name(zipped(_set())), f"archive.zip ({TRAIN}) is damaged"),
    _archive("zip with a bad CSV", zipped(_set(train=b"label\n")), f"archive.zip ({TRAIN}), line 1: 1 columns"),
]


def _sparse(start: str) -> Callable[[Path], Path]:
    """A line of 5 GB that takes no space on the disk."""

    def make(folder: Path) -> Path:
        write_pair(folder, start)
        with (folder / TRAIN).open("rb+") as file:
            file.truncate(5 << 30)
        return folder

    return make


def _alone(folder: Path) -> Path:
    write_pair(folder)
    (folder / TEST).unlink()
    return folder


def _directory(folder: Path) -> Path:
    for name in (TRAIN, TEST):
        (folder / name).mkdir(parents=True)
    return folder


def _half_directory(folder: Path) -> Path:
    (write_pair(folder) / TEST).unlink()
    (folder / TEST).mkdir()
    return folder


def _unreadable(folder: Path) -> Path:
    write_pair(folder)
    if os.geteuid():
        (folder / TRAIN).chmod(0)
    else:  # whom no permission stops; but nobody reads this from its beginning
        (folder / TRAIN).unlink()
        (folder / TRAIN).symlink_to("/proc/self/mem")
    return folder


def _dangling(folder: Path) -> Path:
    (write_pair(folder) / TRAIN).unlink()
    (folder / TRAIN).symlink_to(folder / "gone.csv")
    return folder


def _file(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "archive.zip").write_bytes(zipped(_set()))
    return folder / "archive.zip"


FOLDERS = [
    Case("no folder", lambda folder: folder / "gone", "there is no folder "),
    Case("empty folder", lambda folder: folder, "no Sign Language MNIST in "),
    Case("file in place of the folder", _file, "is a file, but data.root has to be the folder"),
    Case("half a pair", _alone, f"but no {TEST}: put "),
    Case("directories named like the files", _directory, "no Sign Language MNIST in "),
    Case("a directory named like one of the files", _half_directory, f"but no {TEST}: put "),
    Case("file that cannot be read", _unreadable, f"{TRAIN} cannot be read: "),
    Case("link to nothing", _dangling, f"but no {TRAIN}: put "),
    Case("first line of 5 GB", _sparse(""), "is 5.0 GiB large, at most 1 is expected"),
    Case("last line of 5 GB", _sparse(TEXT), "is 5.0 GiB large, at most 1 is expected"),
]

CORPUS: Corpus = {"CSV values": VALUES, "CSV files": FILES, "archives": ARCHIVES, "data folders": FOLDERS}
