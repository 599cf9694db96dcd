"""Windows of moving hands as data: J, Z, letters held and moves between letters, all synthetic.

`sign_cnn.data.synthetic.motion` makes them from the still hands of a table of landmarks.
"""

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sign_cnn.config import MotionConfig
from sign_cnn.data.base import DataIdentity, Rows
from sign_cnn.data.landmarks import LandmarkDataModule, name_people, number_groups
from sign_cnn.data.pictures import load_or_make
from sign_cnn.data.synthetic.landmarks import make_table
from sign_cnn.data.synthetic.motion import CLASSES, VERSION, make_windows
from sign_cnn.hands.landmarks import read_landmarks
from sign_cnn.inputs import MotionInputs


class MotionDataModule(LandmarkDataModule):
    """Windows of moving hands, made once and cached; the test split has new synthetic hands."""

    schema = MotionConfig  # type: ignore[assignment]
    config: MotionConfig  # type: ignore[assignment]
    kind = "motion"

    @property
    def class_names(self) -> list[str]:
        return CLASSES

    @property
    def inputs(self) -> MotionInputs:  # type: ignore[override]
        return MotionInputs()

    @cached_property
    def identity(self) -> DataIdentity:
        config = self.config
        facts = VERSION, config.train_windows, config.test_windows, config.motion_seed
        digest = hashlib.sha256(repr(facts).encode() + self._table.read_bytes())
        text = f"synthetic motion of hands in {config.root or 'the package'}"
        return DataIdentity(digest.hexdigest(), self.kind, text)

    def load(self) -> tuple[Rows, Rows]:
        """Make the windows, or read them from the cache.

        Returns:
            Windows of the hands of the table, and test windows of new synthetic hands.

        Raises:
            DataError: If the table is broken.
        """
        path = Path(self.config.cache_dir, f"motion-{self.identity.fingerprint[:16]}.npz")
        stored = load_or_make(path, self._make)
        self.people = pd.DataFrame({key: stored[f"train_{key}"] for key in ("source", "person")})
        groups = number_groups(self.people)
        train = Rows.make(stored["train_inputs"], stored["train_labels"], groups=groups)
        return train, Rows.make(stored["test_inputs"], stored["test_labels"])

    def make_preprocessing(self, inputs: NDArray[Any]) -> dict[str, Any]:
        return {"_target_": "sign_cnn.models.preprocessing.MotionFeatures"}

    def sampling_weights(self) -> None:
        return None

    def _make(self) -> dict[str, Any]:
        config, stored = self.config, dict[str, Any]()
        tables = {
            "train": (read_landmarks(self._table), config.train_windows),
            "test": (make_table(seed=config.motion_seed + 1), config.test_windows),
        }
        for number, (split, (table, count)) in enumerate(tables.items()):
            rng = np.random.default_rng([config.motion_seed, number])
            inputs, labels, rows = make_windows(table, count, rng)
            names = name_people(table.iloc[rows])
            stored |= {f"{split}_inputs": inputs, f"{split}_labels": labels}
            stored |= {f"{split}_{key}": names[key].to_numpy(str) for key in names.columns}
        return stored
