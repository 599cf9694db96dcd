"""Fetch the CSVs of Sign Language MNIST from Kaggle."""

import logging
import shutil
from functools import cache
from pathlib import Path

from sign_cnn.errors import error_message
from sign_cnn.files import atomic_write
from sign_cnn.letters import FILES

log = logging.getLogger(__name__)

HANDLE = "datamunge/sign-language-mnist"


@cache
def try_download(root: Path) -> str:
    """Put the CSVs into a folder if Kaggle answers; a process tries it once.

    Returns:
        Why it did not work, or "".
    """
    log.info("fetching Sign Language MNIST from Kaggle (about 60 MB, only this once)")
    try:
        import kagglehub  # an extra

        fetched = Path(kagglehub.dataset_download(HANDLE))
        for name in FILES:
            with atomic_write(root / name) as temporary:
                shutil.copyfile(next(fetched.rglob(name)), temporary)
    except Exception as error:  # the network, Kaggle and kagglehub have no common class
        is_offline = type(error).__name__ == "ConnectionError"  # of requests
        why = "it cannot be reached" if is_offline else error_message(error)[:120]
        return f"no download from Kaggle: {why}"
    return ""
