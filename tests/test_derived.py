from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sign_cnn.data import npz
from sign_cnn.data.derived import derived


def test_derived_array_is_made_once_for_each_set_and_key(tmp_path: Path) -> None:
    made = []

    def make() -> Any:
        made.append(1)
        return np.arange(len(made) + 2)

    for _ in range(2):
        np.testing.assert_array_equal(derived(tmp_path, "ab", "train 0.99", make), [0, 1, 2])
    assert len(derived(tmp_path, "ab", "train/0.99", make)) == 4
    assert len(derived(tmp_path, "cd", "train 0.99", make)) == 5
    assert sum(made) == 3


@pytest.mark.parametrize("content", ["cut short", "another array", "another key"])
def test_damaged_or_foreign_array_is_made_again(tmp_path: Path, content: str) -> None:
    def make() -> Any:
        return np.arange(1000)

    derived(tmp_path, "ab", "key", make)
    (path,) = tmp_path.glob("*.npz")
    note, arrays = npz.read(path)
    match content:
        case "cut short":
            path.write_bytes(path.read_bytes()[:-100])
        case "another array":
            npz.write(path, note, {"other": arrays["array"]})
        case "another key":
            npz.write(path, note | {"key": "other"}, {"array": np.zeros(3)})
    np.testing.assert_array_equal(derived(tmp_path, "ab", "key", make), np.arange(1000))
    np.testing.assert_array_equal(npz.read(path)[1]["array"], np.arange(1000))


def test_folder_that_cannot_be_written_costs_no_more_than_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    assert derived(tmp_path / "file" / "cache", "ab", "key", lambda: np.arange(3)).tolist() == [0, 1, 2]
    assert "continuing without a cache" in caplog.text
