"""Where the two CSVs lie: plain, compressed, in Kaggle's nested folders or inside its `archive.zip`."""

import contextlib
import gzip
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, cast

from sign_cnn.errors import DataError

STEMS = ("sign_mnist_train", "sign_mnist_test")
SUFFIXES = (".csv", ".csv.gz", ".csv.xz", ".csv.zip")
ARCHIVE = "archive.zip"

WAYS_OUT = (
    "put sign_mnist_train.csv and sign_mnist_test.csv (or Kaggle's archive.zip) there, name their folder with "
    "SIGN_MNIST_DIR or data.root, fetch them with `python -m sign_cnn.data.download`, "
    "or use the drawn hands with data=synthetic"
)

MAX_FILE_BYTES = 1 << 30
"""A plain or compressed CSV larger than this is none of this kind: the real training set has 83 MB."""

_DAMAGE = (
    EOFError,
    MemoryError,  # lzma: a header that asks for gigabytes
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    zipfile.BadZipFile,
    RuntimeError,  # zipfile: encrypted, or of a kind that it does not know
    UnicodeDecodeError,  # zipfile: names of members
    struct.error,  # zipfile: numbers in its directory, as the next
    OverflowError,
)


@dataclass(frozen=True)
class Source:
    """One CSV: a file, or a member of a zip archive."""

    path: Path
    member: str | None = None

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path} ({self.member})"

    @contextlib.contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """The CSV's bytes as a stream, decompressed in memory; nothing is ever extracted to disk.

        Raises:
            DataError: if the file cannot be read or is damaged; also when that shows inside the `with` block.
        """
        with self.reading(), contextlib.ExitStack() as stack:
            yield self._stream(stack)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Turns what the libraries raise about an unreadable file into a DataError that names it."""
        try:
            yield
        except _DAMAGE as error:
            raise DataError(f"{self} is damaged or cut short ({error}); copy or download it again") from error
        except OSError as error:
            raise DataError(f"{self} cannot be read: {error.strerror or error}") from error

    def _stream(self, stack: contextlib.ExitStack) -> IO[bytes]:
        if self.member is not None:
            archive = stack.enter_context(zipfile.ZipFile(self.path))
            return stack.enter_context(archive.open(self.member))
        if self.path.suffix == ".gz":
            return stack.enter_context(cast(IO[bytes], gzip.open(self.path)))
        if self.path.suffix == ".xz":
            return stack.enter_context(lzma.open(self.path))
        return stack.enter_context(self.path.open("rb"))


@dataclass(frozen=True)
class Sources:
    """Both halves of the set."""

    train: Source
    test: Source


def find(root: Path) -> Sources:
    """The two CSVs under `root`.

    Raises:
        DataError: if either is missing or `root` is no readable folder.
    """
    sources = look(root)
    if sources is None:
        raise missing(root)
    return sources


def missing(root: Path) -> DataError:
    """The error for a folder that holds neither CSV."""
    where = f"no Sign Language MNIST in {root}" if root.is_dir() else f"there is no folder {root}"
    return DataError(f"{where}: {WAYS_OUT}")


def look(root: Path) -> Sources | None:
    """The two CSVs under `root`, None if neither is there.

    Raises:
        DataError: if only one of them is there, or `root` is a file or cannot be read.
    """
    if root.is_file():
        raise DataError(f"{root} is a file, but data.root has to be the folder that holds the CSVs or {ARCHIVE}")
    train, test = (_look_for(root, stem) for stem in STEMS)
    if train is None and test is None:
        return None
    if train is None or test is None:
        absent = STEMS[0] if train is None else STEMS[1]
        raise DataError(f"{root} holds {train or test} but no {absent}.csv: {WAYS_OUT}")
    return Sources(train, test)


def _look_for(root: Path, stem: str) -> Source | None:
    for folder in (root, root / stem):
        for suffix in SUFFIXES:
            path = folder / f"{stem}{suffix}"
            if _is_file(path):
                return Source(path) if suffix != ".csv.zip" else Source(path, _member_or_fail(path, stem))
    archive = root / ARCHIVE
    member = _member(archive, stem) if _is_file(archive) else None
    return None if member is None else Source(archive, member)


def _is_file(path: Path) -> bool:
    with Source(path).reading():
        return path.is_file()


def _member_or_fail(path: Path, stem: str) -> str:
    member = _member(path, stem)
    if member is None:
        raise DataError(f"{path} holds no {stem}.csv; copy or download it again")
    return member


def _member(path: Path, stem: str) -> str | None:
    """The least nested `stem`.csv in a zip archive; macOS's shadow files and paths that lead outside do not count."""
    with Source(path).reading(), zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if PurePosixPath(name).name == f"{stem}.csv"]
    inside = [name for name in names if not {"__MACOSX", "..", "/"} & set(PurePosixPath(name).parts)]
    return min(inside, key=lambda name: (name.count("/"), name), default=None)
