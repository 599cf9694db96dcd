"""Fetch the CSVs from Kaggle and verify them: `python -m sign_cnn.data.download`."""

import argparse
import filecmp
import logging
import os
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path

from sign_cnn.data.csv import DEFAULT_ROOT, OFFICIAL_FINGERPRINT, find_csvs, read_dataset
from sign_cnn.errors import DataError, UserError, error_message, exit_on_user_error
from sign_cnn.files import atomic_write, explain_os_errors

log = logging.getLogger(__name__)

HANDLE = "datamunge/sign-language-mnist"
PAGE = f"https://www.kaggle.com/datasets/{HANDLE}"


def download(root: Path) -> str:
    """Put both CSVs into a folder, unless they are there already.

    Returns:
        A sentence on what was done.

    Raises:
        DataError: If the folder holds another set, or Kaggle does not give the official one.
        UserError: If the folder cannot be written.
    """
    if _is_official(root):
        return f"{root} already holds the official set (verified); nothing to do"
    try:
        import kagglehub  # an extra

        fetched = Path(kagglehub.dataset_download(HANDLE))
    except ImportError:
        raise DataError('the download needs kagglehub: pip install -e ".[download]"') from None
    except Exception as error:  # the network, Kaggle and kagglehub have no common class
        way_out = f"download archive.zip in a browser from {PAGE} and put it in {root}"
        problem = f"no download from Kaggle ({error_message(error)[:120]})"
        raise DataError(f"{problem}; {way_out}") from error
    if not _is_official(fetched):
        raise DataError(f"{fetched} from Kaggle is not the official set; nothing was copied")
    served = {csv.name: csv for csv in find_csvs(fetched) or ()}
    for path in sorted(root.glob("sign_mnist_*")):  # one of the two, after an interruption
        if path.name not in served or not filecmp.cmp(path, served[path.name], shallow=False):
            raise DataError(f"{path} is damaged or of another set; name another --root")
    with explain_os_errors(root):
        for name, csv in served.items():
            with atomic_write(root / name) as temporary:
                shutil.copyfile(csv, temporary)
    return f"{root} now holds the official set (verified)"


@cache
def try_download(root: Path) -> str:
    """Download the CSVs if Kaggle answers; a process tries it once.

    Returns:
        Why it did not work, or "".
    """
    log.info("fetching Sign Language MNIST from Kaggle, about 60 MB, once")
    try:
        download(root)
    except UserError as error:
        return str(error).partition(";")[0]
    return ""


def _is_official(root: Path) -> bool:
    with suppress(DataError):  # a CSV is missing or damaged
        csvs = find_csvs(root)
        return csvs is not None and read_dataset(csvs)["fingerprint"] == OFFICIAL_FINGERPRINT
    return False


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser("python -m sign_cnn.data.download", description=__doc__)
    default = Path(os.environ.get("SIGN_MNIST_DIR") or DEFAULT_ROOT)
    parser.add_argument("--root", type=Path, default=default, help=f"default: {default}")
    with exit_on_user_error():
        print(download(parser.parse_args(arguments).root))


if __name__ == "__main__":
    main()
