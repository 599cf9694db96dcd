"""Sign Language MNIST, read once from its CSVs and then from a cached file, or synthetic hands."""

import logging
from functools import cached_property, partial
from pathlib import Path
from string import ascii_uppercase
from typing import Any, NamedTuple

import numpy as np

from sign_cnn.config import SignMNISTConfig
from sign_cnn.data import cache
from sign_cnn.data.base import DataIdentity, Rows
from sign_cnn.data.csv import (
    DEFAULT_ROOT,
    MARKER,
    OFFICIAL_FINGERPRINT,
    OFFICIAL_ROWS,
    PHOTOS_FILE,
    SPLITS,
    WAYS_OUT,
    find_csvs,
    index_classes,
    read_dataset,
)
from sign_cnn.data.photos import METHOD_VERSION
from sign_cnn.data.pictures import PictureDataModule
from sign_cnn.data.splits import Split
from sign_cnn.errors import ConfigError, DataError

log = logging.getLogger(__name__)


class Source(NamedTuple):
    """Where the set comes from."""

    root: Path
    csvs: tuple[Path, Path] | None  # None: the official set, from the cache alone
    cached: Path  # file of the parsed set, named after names, sizes and times of its files
    why: str = ""  # the synthetic set in place of the real one


class SignMNISTDataModule(PictureDataModule):
    """The two CSVs of Sign Language MNIST, of another set in its format, or of synthetic hands."""

    schema = SignMNISTConfig
    config: SignMNISTConfig
    channels = 1

    def __init__(self, augment: Any = None, seed: int = 0, **settings: Any) -> None:
        super().__init__(augment, seed, **settings)
        letters = self.config.letters
        if not 2 <= len(letters) == len({*letters} & {*ascii_uppercase}):
            problem = "must be two or more different capital letters, such as ABC"
            raise ConfigError([f"data.letters={letters} {problem}"])

    @property
    def class_names(self) -> list[str]:
        return list(self.config.letters)

    @cached_property
    def identity(self) -> DataIdentity:
        root, csvs, cached, why = self._source
        stored = self._read("fingerprint", "train_labels", "test_labels")
        fingerprint = str(stored["fingerprint"])
        if fingerprint == OFFICIAL_FINGERPRINT:
            place = f"in {root}" if csvs else f"from {cached} (no CSVs in {root})"
            return DataIdentity(fingerprint, "official", f"Sign Language MNIST {place}")
        if (root / MARKER).is_file():
            reason = f" ({why})" if why else ""
            return DataIdentity(fingerprint, "synthetic", f"synthetic hands in {root}{reason}")
        text = f"custom data in {root}, not the official Sign Language MNIST"
        missing = {s: n - len(stored[f"{s}_labels"]) for s, n in OFFICIAL_ROWS.items()}
        if lacks := [f"{n} {s} rows" for s, n in missing.items() if 0 < n < OFFICIAL_ROWS[s] / 10]:
            text += f", of which it may be a copy that lacks {' and '.join(lacks)}"
        return DataIdentity(fingerprint, "custom", text)

    def load(self) -> tuple[Rows, Rows]:
        """Read the rows of `letters`.

        Raises:
            DataError: If a file is missing, broken, or has other letters or another image size.
        """
        root, letters, stored = self._source.root, self.config.letters, self._read()
        splits = []
        for split in SPLITS:
            images, raw, *numbers = (
                stored[f"{split}_{name}"]
                for name in ("images", "labels", "photos", "lookalikes", "sessions")
            )
            if (size := images.shape[1]) != self.config.image_size:
                problem = f"have {size}×{size} pixels: set data.image_size={size}"
                raise DataError(f"pictures in {root} {problem}")
            labels = index_classes(raw, letters)
            groups = dict(zip(("photo", "lookalike", "session"), numbers, strict=True))
            more = {"similarity": stored["similarity"]} if split == "test" else {}
            rows = Rows.make(images[:, None], labels, photos=numbers[0], groups=groups, **more)
            splits.append(rows.take(labels >= 0))
            if (found := len(np.unique(splits[-1].labels))) < (2 if split == "train" else 1):
                problem = f"show {found} of the letters {letters}: set other data.letters"
                raise DataError(f"the {split} rows in {root} {problem}")
        return splits[0], splits[1]

    def split_training(self) -> Split:
        groups = self.train_rows.groups
        if self.val_split == "session" and np.array_equal(groups["session"], groups["lookalike"]):
            self.val_split = "lookalike"
            log.info("data.val_split=lookalike: the sessions of these data are not known")
        return super().split_training()

    def _read(self, *names: str) -> dict[str, Any]:
        _, csvs, cached, _ = self._source
        return cache.load_or_make(cached, partial(read_dataset, csvs or ()), names)

    @cached_property
    def _source(self) -> Source:
        """Decide where the set comes from: a folder, the cache, a download or synthetic hands.

        The cache alone is enough for the official set under the default root; a root that was named
        must hold CSVs.

        Raises:
            DataError: If there are no CSVs, or only an archive without them.
        """
        root = Path(self.config.root or DEFAULT_ROOT)  # SIGN_MNIST_DIR is set, but empty
        if self.config.source == "synthetic":
            return self._make_synthetic()
        if csvs := find_csvs(root):
            return self._parsed(root, csvs)
        if root == DEFAULT_ROOT:
            names = Path(self.config.cache_dir).glob(f"sign_mnist-v{METHOD_VERSION}-*.npz")
            for path in sorted(names):
                stored = cache.load(path, ["fingerprint"])
                if stored and str(stored["fingerprint"]) == OFFICIAL_FINGERPRINT:
                    return Source(root, None, path)
            if self.config.source == "auto":
                from sign_cnn.data.download import try_download

                why = try_download(root) if self.config.download else "data.download=false"
                if csvs := find_csvs(root):
                    return self._parsed(root, csvs)
                return self._make_synthetic(f"no CSVs in {root}, no download from Kaggle: {why}")
        exists = f"no Sign Language MNIST in {root}"
        raise DataError(f"{exists if root.is_dir() else f'there is no folder {root}'}: {WAYS_OUT}")

    def _make_synthetic(self, why: str = "") -> Source:
        from sign_cnn.data.synthetic.pictures import FILES, ensure_synthetic  # scipy.ndimage

        config, root = self.config, Path(self.config.synthetic_root)
        ensure_synthetic(root, config.synthetic, config.letters, config.image_size)
        return self._parsed(root, (root / FILES[0], root / FILES[1]), why)

    def _parsed(self, root: Path, csvs: tuple[Path, Path], why: str = "") -> Source:
        known = csvs[0].with_name(PHOTOS_FILE)
        key = cache.stamp([*csvs, *([known] if known.is_file() else [])])
        path = Path(self.config.cache_dir, f"sign_mnist-v{METHOD_VERSION}-{key}.npz")
        return Source(root, csvs, path, why)
