from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sign_cnn.data.identity import OFFICIAL_FINGERPRINT, SYNTHETIC_MARKER, fingerprint, kind_of


def arrays(shape: tuple[int, ...] = (4, 28, 28)) -> list[Any]:
    return [np.zeros(shape, np.uint8), np.zeros(4, np.uint8), np.zeros(shape, np.uint8), np.zeros(4, np.uint8)]


@pytest.mark.parametrize("position", range(4))
def test_fingerprint_depends_on_the_last_value_of_each_array(position: int) -> None:
    changed = arrays()
    changed[position].flat[-1] = 1
    assert fingerprint(*changed) != fingerprint(*arrays())


def test_fingerprint_depends_on_shapes_and_on_what_is_train_and_test() -> None:
    assert len({fingerprint(*arrays(shape)) for shape in [(4, 28, 28), (4, 784), (2, 56, 28)]}) == 3
    changed = arrays()
    changed[0][0, 0, 0] = 1
    assert fingerprint(*changed) != fingerprint(*changed[2:], *changed[:2])


def test_fingerprint_ignores_memory_layout() -> None:
    images = np.arange(4 * 784, dtype=np.uint8).reshape(4, 28, 28)
    labels = np.arange(4, dtype=np.uint8)
    assert fingerprint(images, labels, images, labels) == fingerprint(np.asfortranarray(images), labels, images, labels)


def test_official_set_stays_official_whatever_lies_beside_it(tmp_path: Path) -> None:
    (tmp_path / SYNTHETIC_MARKER).write_text("{}")
    assert kind_of(OFFICIAL_FINGERPRINT, tmp_path) == "official"
    assert kind_of("0" * 64, tmp_path) == "synthetic"
    assert kind_of("0" * 64, tmp_path.parent) == "custom"
