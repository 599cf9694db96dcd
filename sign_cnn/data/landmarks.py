"""Landmarks of hands as data: a table, or photographs that are measured once."""

import hashlib
import logging
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sign_cnn.config import LandmarkConfig
from sign_cnn.data.base import BaseDataModule, DataIdentity, Rows, Split
from sign_cnn.data.pictures import name_cache
from sign_cnn.errors import DataError
from sign_cnn.files import atomic_write, explain_os_errors
from sign_cnn.hands.landmarks import LANDMARKS, measure_folder, read_landmarks, to_landmarks
from sign_cnn.inputs import LandmarkInputs

log = logging.getLogger(__name__)


class LandmarkDataModule(BaseDataModule):
    """A table of landmarks, one row per picture; the test split is empty."""

    schema = LandmarkConfig
    config: LandmarkConfig
    kind = "landmarks"

    @property
    def class_names(self) -> list[str]:
        return list(self.config.letters)

    @property
    def inputs(self) -> LandmarkInputs:
        return LandmarkInputs()

    @cached_property
    def identity(self) -> DataIdentity:
        fingerprint = hashlib.sha256(self._table.read_bytes()).hexdigest()
        text = f"landmarks of hands in {self.config.root or 'the package'}"
        return DataIdentity(fingerprint, self.kind, text)

    def load(self) -> tuple[Rows, Rows]:
        """Read the rows in which a hand was found.

        Returns:
            The training rows, and no test rows.

        Raises:
            DataError: If the table is broken.
        """
        table, letters = read_landmarks(self._table), self.config.letters
        table = table[(table["found"] == 1) & table["letter"].isin(list(letters))]
        labels = table["letter"].map(letters.index).to_numpy(np.int64, copy=True)
        self.people = name_people(table)
        rows = Rows.make(to_landmarks(table), labels, groups=number_groups(self.people))
        return rows, rows.take(np.arange(0))

    def split_training(self) -> Split:
        split = super().split_training()
        if self.val_split in self.people:
            groups = self.people[self.val_split].iloc[split.val].unique()
            self.left_out = groups[0].strip() if len(groups) == 1 else None
        return split

    def make_preprocessing(self, inputs: NDArray[Any]) -> dict[str, Any]:
        return {"_target_": "sign_cnn.models.preprocessing.HandFeatures"}

    def sampling_weights(self) -> NDArray[np.float64] | None:
        if self.config.balance == "none":
            return None
        rows = self.train_rows.take(self.split.train)
        pairs = rows.groups[self.config.balance] * self.num_classes + rows.labels
        weights: NDArray[np.float64] = 1 / np.bincount(pairs)[pairs]
        return weights

    @cached_property
    def _table(self) -> Path:
        path = Path(self.config.root) if self.config.root else LANDMARKS
        if not path.is_file():
            raise DataError(f"there is no table of landmarks {path}: name one with data.root")
        return path


def name_people(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns `source` and `person`, whose names hold that of the source."""
    return table[["source"]].assign(person=table["source"] + " " + table["person"])


def number_groups(names: pd.DataFrame) -> dict[str, NDArray[np.int64]]:
    """Return each column as numbers from 0, in the order of the names."""
    return {str(key): pd.factorize(names[key], sort=True)[0].astype(np.int64) for key in names}


class HandPhotosDataModule(LandmarkDataModule):
    """Photographs in one sub-folder per letter; their landmarks are found once and cached."""

    kind = "hand_photos"

    @cached_property
    def _table(self) -> Path:
        folder = Path(self.config.root)
        if not self.config.root or not folder.is_dir():
            way_out = "set data.root to one with a sub-folder per letter"
            raise DataError(f"there is no folder {self.config.root!r}: {way_out}")
        files = [file for file in sorted(folder.rglob("[!.]*")) if file.is_file()]
        cached = name_cache(self.config.cache_dir, "hand_photos", files).with_suffix(".csv")
        if not cached.exists():
            log.info("looking for hands in %d files; the landmarks are then cached", len(files))
            table, notes = measure_folder(folder)
            for note in notes:
                log.warning("%s", note)
            with explain_os_errors(cached), atomic_write(cached) as temporary:
                table.to_csv(temporary, index=False)
        return cached
