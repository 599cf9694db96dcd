"""The base class of data modules whose inputs are square pictures, which are parsed once."""

import logging
import math
from abc import abstractmethod
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from filelock import FileLock
from numpy.typing import NDArray

from sign_cnn.data.base import BaseDataModule, Rows
from sign_cnn.data.photos import METHOD_VERSION
from sign_cnn.inputs import PictureInputs

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
TRAIN, VAL, TEST = range(3)


class PictureDataModule(BaseDataModule):
    """Pictures uint8 (N, C, S, S), 0..255, that are normalised by constants of each channel."""

    @property
    def channels(self) -> int:
        """Channels of a picture: 1 if it is grey, 3 if it is in colour."""
        return int(self.config.channels)

    @property
    def image_size(self) -> int:
        """Height and width of a picture, in pixels."""
        return int(self.config.image_size)

    @property
    def inputs(self) -> PictureInputs:
        return PictureInputs(self.channels, self.image_size)

    @property
    @abstractmethod
    def cache_file(self) -> Path:
        """The file that keeps what `parse` returns."""

    @abstractmethod
    def parse(self) -> dict[str, Any]:
        """Read the original files.

        Returns:
            The `fingerprint`, and for each row, the test rows last: `inputs`, `labels`, `folder`
            (its split, as an index of `SPLITS`), `photo` and other groups, and `similarity`.

        Raises:
            DataError: If a file is broken.
        """

    def load(self) -> tuple[Rows, Rows]:
        groups = {**self.parsed}
        facts = {name: groups.pop(name) for name in ("inputs", "labels", "similarity")}
        del groups["fingerprint"], self.parsed  # `Rows` have it from here on
        rows = Rows(**facts, photos=groups["photo"], groups=groups)
        end = np.searchsorted(groups["folder"], TEST)  # slices, which copy no pixels
        return rows.take(slice(end)), rows.take(slice(end, None))

    def make_preprocessing(self, inputs: NDArray[np.uint8]) -> dict[str, Any]:
        mean, std = [0.0] * inputs.shape[1], [1.0] * inputs.shape[1]
        if self.config.normalize == "standardize":
            mean, std = compute_mean_std(inputs)
        target = "sign_cnn.models.preprocessing.NormalizePixels"
        return {"_target_": target, "mean": mean, "std": std}

    @cached_property
    def parsed(self) -> dict[str, Any]:
        """What `parse` returns, from the cache file."""
        return load_or_make(self.cache_file, self.parse)


def load_or_make(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the arrays of a cache file, which is made first if it is missing or damaged.

    Of several processes that start at once, one makes it. Where it cannot be written, that is
    logged as a warning.

    Args:
        path: An .npz file.
        make: Makes the arrays.
    """
    made = None
    if found := _load(path):
        return found
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if found := _load(path):  # another process was faster
                return found
            made = make()
            unfinished = path.with_suffix(".part.npz")
            np.savez(unfinished, **made)
            unfinished.replace(path)  # at once, so that no other process reads half of it
    except OSError as error:
        log.warning("nothing is cached: %s cannot be written (%s)", path.parent, error.strerror)
    return made or make()


def name_cache(folder: str, kind: str, files: Iterable[Path], *settings: Any) -> Path:
    """Return a path that changes with a file's path, size or time, or with a setting."""
    facts = [(str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return Path(folder, f"{kind}-{joblib.hash([METHOD_VERSION, *settings, facts])}.npz")


def compute_mean_std(pixels: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each channel's pixels / 255.

    They are computed in whole numbers to the end, so that they are the same on every machine. The
    deviation of pixels that are all equal is taken as 1.

    Args:
        pixels: uint8 (N, C, S, S), 0..255.
    """
    total = squares = np.zeros(pixels.shape[1], np.int64)
    for part in np.array_split(pixels, 64):  # squares take twice the memory
        total = total + part.sum((0, 2, 3), dtype=np.int64)
        squares = squares + np.square(part, dtype=np.uint16).sum((0, 2, 3), dtype=np.int64)
    count, sums = pixels[:, 0].size, zip(total.tolist(), squares.tolist(), strict=True)
    deviations = [math.sqrt(count * more - one**2) / (255 * count) for one, more in sums]
    return (total / (255 * count)).tolist(), [deviation or 1.0 for deviation in deviations]


def _load(path: Path) -> dict[str, Any] | None:
    """Return the arrays of a cached file; None if it is missing or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return dict(stored)
    except FileNotFoundError:
        return None
    except Exception as error:  # a damaged zip makes numpy and zipfile raise nearly anything
        log.warning("%s is damaged, and is made anew: %s", path, error)
        return None
