"""Fetch the CSVs from Kaggle and verify them: `python -m sign_cnn.data.download`."""

import argparse
import filecmp
import logging
import os
import shutil
import textwrap
from contextlib import suppress
from functools import cache
from pathlib import Path

from sign_cnn.data.csv import DEFAULT_ROOT, OFFICIAL_FINGERPRINT, find_csvs, read_dataset
from sign_cnn.errors import DataError, UserError, exit_on_user_error
from sign_cnn.files import atomic_write, explain_os_errors

log = logging.getLogger(__name__)

HANDLE = "datamunge/sign-language-mnist"
PAGE = f"https://www.kaggle.com/datasets/{HANDLE}"
PATIENCE = 3  # seconds for Kaggle to answer


def download(root: Path) -> str:
    """Put both CSVs into a folder, unless they are there already.

    Returns:
        A sentence on what was done.

    Raises:
        DataError: If the folder holds another set, or Kaggle does not give the official one.
        UserError: If the folder cannot be written.
    """
    present = _fingerprint(root)
    if present == OFFICIAL_FINGERPRINT:
        return f"{root} already holds the official set (verified); nothing to do"
    if present:
        raise DataError(f"{root} holds another data set; name an empty folder with --root")
    try:
        import kagglehub  # an extra

        fetched = Path(kagglehub.dataset_download(HANDLE))
    except ImportError:
        raise DataError('the download needs kagglehub: pip install -e ".[download]"') from None
    except Exception as error:  # the network, Kaggle and kagglehub have no common class
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 120)
        way_out = f"download archive.zip in a browser from {PAGE} and put it in {root}"
        raise DataError(f"no download from Kaggle ({reason}); {way_out}") from error
    if _fingerprint(fetched) != OFFICIAL_FINGERPRINT:
        raise DataError(f"{fetched} from Kaggle is not the official set; nothing was copied")
    with explain_os_errors(root):
        for csv in find_csvs(fetched) or ():
            target = root / csv.name
            if target.exists() and not filecmp.cmp(csv, target, shallow=False):
                way_out = "move it away, or name another --root"
                raise DataError(f"{target} is damaged or of another set; {way_out}")
            with atomic_write(target) as temporary:
                shutil.copyfile(csv, temporary)
    return f"{root} now holds the official set (verified)"


@cache
def try_download(root: Path) -> str:
    """Download the CSVs if Kaggle answers at once; a process tries it once.

    Returns:
        Why it did not work, or "".
    """
    try:
        import requests  # of kagglehub, whose own import takes a second

        requests.head(PAGE, timeout=PATIENCE)
        log.info("fetching Sign Language MNIST from Kaggle, about 60 MB, once")
        download(root)
    except ImportError:
        return "kagglehub is not installed"
    except OSError:  # those of requests
        return "it cannot be reached"
    except UserError as error:
        return str(error).partition(";")[0]
    return ""


def _fingerprint(root: Path) -> str | None:
    with suppress(DataError):  # a CSV is missing or damaged
        csvs = find_csvs(root)
        return str(read_dataset(csvs)["fingerprint"]) if csvs else None
    return None


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    name = "python -m sign_cnn.data.download"
    parser = argparse.ArgumentParser(prog=name, description=f"Fetch {PAGE}.")
    default = Path(os.environ.get("SIGN_MNIST_DIR") or DEFAULT_ROOT)
    description = "folder for the CSVs (default: %(default)s)"
    parser.add_argument("--root", type=Path, default=default, help=description)
    with exit_on_user_error():
        print(download(parser.parse_args(arguments).root))


if __name__ == "__main__":
    main()
