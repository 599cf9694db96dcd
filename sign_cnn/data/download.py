"""Fetch the CSVs from Kaggle: `python -m sign_cnn.data.download`."""

import argparse
import logging
import os
import shutil
from functools import cache
from pathlib import Path

from sign_cnn.errors import DataError, UserError, error_message, exit_on_user_error
from sign_cnn.files import atomic_write, explain_os_errors
from sign_cnn.letters import FILES

log = logging.getLogger(__name__)

DEFAULT_ROOT = Path("data/sign_mnist")
HANDLE = "datamunge/sign-language-mnist"
PAGE = f"https://www.kaggle.com/datasets/{HANDLE}"


def download(root: Path) -> None:
    """Put the CSVs into a folder; those that are there already are left alone.

    Raises:
        DataError: If Kaggle does not give them.
        UserError: If the folder cannot be written.
    """
    missing = [name for name in FILES if not (root / name).exists()]
    try:
        import kagglehub  # an extra

        fetched = Path(kagglehub.dataset_download(HANDLE)) if missing else root
        found = {name: next(fetched.rglob(name)) for name in missing}
    except ImportError:
        raise DataError('the download needs kagglehub: pip install -e ".[download]"') from None
    except Exception as error:  # the network, Kaggle and kagglehub have no common class
        way_out = f"download archive.zip in a browser from {PAGE} and put it in {root}"
        problem = f"no download from Kaggle ({error_message(error)[:120]})"
        raise DataError(f"{problem}; {way_out}") from error
    with explain_os_errors(root):
        for name, csv in found.items():
            with atomic_write(root / name) as temporary:
                shutil.copyfile(csv, temporary)


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


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser("python -m sign_cnn.data.download", description=__doc__)
    default = Path(os.environ.get("SIGN_MNIST_DIR") or DEFAULT_ROOT)
    parser.add_argument("--root", type=Path, default=default, help=f"default: {default}")
    root = parser.parse_args(arguments).root
    with exit_on_user_error():
        download(root)
        print(f"{root} holds {' and '.join(FILES)}")


if __name__ == "__main__":
    main()
