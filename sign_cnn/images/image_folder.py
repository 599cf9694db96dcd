"""Pictures of ordinary files, sorted by hand into one folder for each letter."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sign_cnn.errors import DataError
from sign_cnn.images.preprocessing import IMAGE_SIZE, load_image
from sign_cnn.letters import LETTERS, class_of


@dataclass(frozen=True)
class ImageFolder:
    """What could be read, and what not."""

    images: NDArray[np.uint8]  # (N, 28, 28), 0..255
    labels: NDArray[np.uint8]  # (N,), class index
    names: list[str]  # path of each below the folder
    problems: list[str]  # one sentence for each file or folder left out


def read_image_folder(folder: Path) -> ImageFolder:
    """Reads every file in the sub-folders named after letters, of either case.

    Raises:
        DataError: There is no such folder, no sub-folder named after a letter, or no file in them that can be read.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder")
    below = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    lettered = [path for path in below if len(path.name) == 1 and path.name.upper() in LETTERS]
    if not lettered:
        raise DataError(
            f"{folder} has no sub-folder named after a letter: put the pictures of each letter in one, "
            f"as in {folder / 'A'}, {folder / 'B'}"
        )
    problems = [
        f"{path} is left out: its name is none of the letters {LETTERS}" for path in below if path not in lettered
    ]
    images, labels, names = [], [], []
    for path in (path for letter in lettered for path in sorted(letter.iterdir())):
        if path.name.startswith(".") or not path.is_file():
            continue
        try:
            images.append(load_image(path))
        except DataError as error:
            problems.append(str(error))
            continue
        labels.append(class_of(path.parent.name))
        names.append(path.relative_to(folder).as_posix())
    if not images:
        raise DataError(
            f"{folder} holds no picture that can be read: {problems[-1] if problems else 'its folders are empty'}"
        )
    return ImageFolder(
        np.stack(images).reshape(-1, IMAGE_SIZE, IMAGE_SIZE), np.array(labels, np.uint8), names, problems
    )
