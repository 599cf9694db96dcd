"""Sign Language MNIST, read once from its CSVs and then from a cached file, or synthetic hands."""

import logging
from functools import cached_property, partial
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np

from sign_cnn.config import SignMNISTConfig
from sign_cnn.data import cache
from sign_cnn.data.base import DataIdentity, Rows
from sign_cnn.data.csv import (
    DEFAULT_ROOT,
    MARKER,
    OFFICIAL_FINGERPRINT,
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
        fingerprint = str(self._read("fingerprint")["fingerprint"])
        if fingerprint == OFFICIAL_FINGERPRINT:
            place = f"in {root}" if csvs else f"from {cached} (no CSVs in {root})"
            return DataIdentity(fingerprint, "official", f"Sign Language MNIST {place}")
        if (root / MARKER).is_file():
            return DataIdentity(fingerprint, "synthetic", f"synthetic hands in {root}{why}")
        text = f"custom data in {root}, not the official Sign Language MNIST"
        return DataIdentity(fingerprint, "custom", text)

    def load(self) -> tuple[Rows, Rows]:
        """Read the rows of `letters`.

        Raises:
            DataError: If a file is missing or broken, or has another image size.
        """
        root, letters, stored = self._source[0], self.config.letters, self._read()
        splits = []
        for split in SPLITS:
            images = stored[f"{split}_images"]
            labels = index_classes(stored[f"{split}_labels"], letters)
            groups = {k: stored[f"{split}_{k}s"] for k in ("photo", "lookalike", "session")}
            if (size := images.shape[1]) != self.config.image_size:
                problem = f"have {size}×{size} pixels: set data.image_size={size}"
                raise DataError(f"pictures in {root} {problem}")
            more = {"similarity": stored["similarity"]} if split == "test" else {}
            rows = Rows.make(images[:, None], labels, photos=groups["photo"], groups=groups, **more)
            splits.append(rows.take(labels >= 0))
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
    def _source(self) -> tuple[Path, tuple[Path, Path] | None, Path, str]:
        """Decide where the set comes from: a folder, the cache, a download or synthetic hands.

        The cache alone is enough for the official set under the default root; a root that was named
        must hold CSVs.

        Returns:
            The folder; its CSVs, or None where the cache alone is there; the file that caches the
            set, named after names, sizes and times of its files; why it is not the real set, or "".

        Raises:
            DataError: If there are no CSVs, or only one of them.
        """
        config, why = self.config, ""
        root = Path(config.root or DEFAULT_ROOT)  # SIGN_MNIST_DIR is set, but empty
        csvs = None if config.source == "synthetic" else find_csvs(root)
        if not csvs and config.source != "synthetic":
            names = Path(config.cache_dir).glob(f"sign_mnist-v{METHOD_VERSION}-*.npz")
            for path in sorted(names) if root == DEFAULT_ROOT else ():
                stored = cache.load(path, ["fingerprint"])
                if stored and str(stored["fingerprint"]) == OFFICIAL_FINGERPRINT:
                    return root, None, path, ""
            if root != DEFAULT_ROOT or config.source == "csv":
                raise DataError(f"no Sign Language MNIST in {root}: {WAYS_OUT}")
            from sign_cnn.data.download import try_download

            problem = try_download(root) if config.download else "data.download=false"
            why, csvs = f" (no CSVs in {root}; {problem})", find_csvs(root)
        if not csvs:
            from sign_cnn.data.synthetic.pictures import FILES, ensure_synthetic  # scipy.ndimage

            root = Path(config.synthetic_root)
            ensure_synthetic(root, config.synthetic, config.letters, config.image_size)
            csvs = root / FILES[0], root / FILES[1]
        known = csvs[0].with_name(PHOTOS_FILE)
        key = cache.stamp([*csvs, *([known] if known.is_file() else [])])
        path = Path(config.cache_dir, f"sign_mnist-v{METHOD_VERSION}-{key}.npz")
        return root, csvs, path, why
