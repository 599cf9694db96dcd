"""Fetches the CSVs from Kaggle and checks that they are the official ones: `python -m sign_cnn.data.download`."""

import argparse
import filecmp
import os
import shutil
from pathlib import Path

from sign_cnn.data import csv, csv_files
from sign_cnn.data.csv_files import Sources
from sign_cnn.data.identity import OFFICIAL_FINGERPRINT, fingerprint
from sign_cnn.errors import DataError, clean_exit
from sign_cnn.files import replacing

HANDLE = "datamunge/sign-language-mnist"
PAGE = f"https://www.kaggle.com/datasets/{HANDLE}"


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m sign_cnn.data.download", description=f"Fetches {PAGE}.")
    default = os.environ.get("SIGN_MNIST_DIR") or "data/sign_mnist"
    parser.add_argument("--root", type=Path, default=Path(default), help="folder for the CSVs (default: %(default)s)")
    root = parser.parse_args(arguments).root
    with clean_exit():
        print(download(root))


def download(root: Path) -> str:
    """Puts both CSVs into `root` unless it holds the official set already; no other file is ever overwritten.

    Returns:
        One sentence on what was done.

    Raises:
        DataError: if Kaggle cannot be reached or serves something else, or `root` holds something else or is read-only.
    """
    here = _fingerprint_of_copy(root)
    if here == OFFICIAL_FINGERPRINT:
        return f"{root} already holds the official set (fingerprint {here[:12]}, verified); nothing to do"
    if here is not None:
        raise DataError(f"{root} holds another set (fingerprint {here[:12]}); name an empty folder with --root")
    fetched = csv_files.find(_fetch(root))
    there = _fingerprint(fetched)
    if there != OFFICIAL_FINGERPRINT:
        raise DataError(
            f"what Kaggle serves as {HANDLE} is not the official set (fingerprint {there[:12]}, expected "
            f"{OFFICIAL_FINGERPRINT[:12]}), so nothing was copied to {root}; it lies in {fetched.train.path.parent}"
        )
    _copy(fetched, root)
    return f"{root} now holds the official set: fingerprint {there[:12]}, verified"


def _fingerprint_of_copy(root: Path) -> str | None:
    try:
        present = csv_files.look(root)
        return None if present is None else _fingerprint(present)
    except DataError:
        return None  # half of it, or damaged: what is missing is fetched


def _fingerprint(pair: Sources) -> str:
    return fingerprint(*csv.read(pair.train), *csv.read(pair.test))


def _fetch(root: Path) -> Path:
    try:
        import kagglehub  # an extra
    except ImportError:
        raise DataError("the download needs kagglehub: pip install -e .[download]") from None
    try:
        return Path(kagglehub.dataset_download(HANDLE))
    except Exception as error:  # the network, Kaggle's answers and kagglehub's own complaints: no common class
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(
            f"Kaggle did not deliver ({reason}); download archive.zip in a browser from {PAGE} and put it in {root}"
        ) from error


def _copy(fetched: Sources, root: Path) -> None:
    try:
        todo = [path for path in (fetched.train.path, fetched.test.path) if not _is_copied(path, root / path.name)]
        root.mkdir(parents=True, exist_ok=True)
        for path in todo:
            _copy_whole(path, root / path.name)
    except OSError as error:
        raise DataError(f"{root} cannot be written ({error.strerror}); name another folder with --root") from error


def _is_copied(path: Path, target: Path) -> bool:
    if not target.exists():
        return False
    if filecmp.cmp(path, target, shallow=False):
        return True
    raise DataError(f"{target} is damaged or of another set; move it away, or name an empty folder with --root")


def _copy_whole(path: Path, target: Path) -> None:
    with replacing(target) as temporary:
        shutil.copyfile(path, temporary)


if __name__ == "__main__":
    main()
