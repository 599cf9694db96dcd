"""Fetch the CSVs from Kaggle and check that they are the official ones: `python -m sign_cnn.data.download`."""

import argparse
import filecmp
import logging
import os
import shutil
import textwrap
from contextlib import suppress
from functools import cache
from pathlib import Path

from sign_cnn.config import DataConfig
from sign_cnn.data.csv import find_csvs
from sign_cnn.data.dataset import OFFICIAL_FINGERPRINT, read_dataset
from sign_cnn.errors import DataError, UserError, exit_on_user_error
from sign_cnn.files import atomic_write, explain_os_errors

log = logging.getLogger(__name__)

HANDLE = "datamunge/sign-language-mnist"
PAGE = f"https://www.kaggle.com/datasets/{HANDLE}"
PATIENCE = 3  # seconds for Kaggle to answer


def download(root: Path) -> str:
    """Put both CSVs into `root` unless they are there already; a sentence on what was done, or a UserError."""
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
    except (
        Exception
    ) as error:  # the network, Kaggle's answers and kagglehub's own have no common class
        reason = textwrap.shorten(f"{type(error).__name__}: {error}", 120)
        way_out = f"download archive.zip in a browser from {PAGE} and put it in {root}"
        raise DataError(f"no download from Kaggle ({reason}); {way_out}") from error
    if _fingerprint(fetched) != OFFICIAL_FINGERPRINT:
        raise DataError(
            f"{HANDLE} on Kaggle is not the official set; nothing was copied to {root} from {fetched}"
        )
    with explain_os_errors(root):
        for csv in find_csvs(fetched) or ():
            target = root / csv.name
            if target.exists() and not filecmp.cmp(csv, target, shallow=False):
                raise DataError(
                    f"{target} is damaged or of another set; move it away, or name another --root"
                )
            with atomic_write(target) as temporary:
                shutil.copyfile(csv, temporary)
    return f"{root} now holds the official set (verified)"


@cache
def try_download(root: Path) -> str:
    """The download, if Kaggle answers at once; why it did not work, or "". A process tries once."""
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
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m sign_cnn.data.download", description=f"Fetch {PAGE}."
    )
    default = Path(os.environ.get("SIGN_MNIST_DIR") or DataConfig.root)
    parser.add_argument(
        "--root", type=Path, default=default, help="folder for the CSVs (default: %(default)s)"
    )
    with exit_on_user_error():
        print(download(parser.parse_args(arguments).root))


if __name__ == "__main__":
    main()
