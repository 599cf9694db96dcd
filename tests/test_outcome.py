from types import SimpleNamespace

import numpy as np
import pytest

from sign_cnn.training.outcome import below_chance


def data(val: list[int]) -> SimpleNamespace:
    """Eight rows of classes 0 0 0 1 1 2 3 4, of which `val` are held out."""
    train = [row for row in range(8) if row not in val]
    labels = np.array([0, 0, 0, 1, 1, 2, 3, 4])
    return SimpleNamespace(
        dataset=SimpleNamespace(train_labels=labels), split=SimpleNamespace(train=np.array(train), val=np.array(val))
    )


@pytest.mark.parametrize(("best", "learned"), [(0.5, False), (0.51, True)])
def test_a_network_that_only_names_the_commonest_letter_has_learned_nothing(best: float, learned: bool):
    rows = [{"train/acc": 0.9, "val/acc": 0.1}, {"train/acc": 0.9, "val/acc": best}]
    said = below_chance(rows, data([0, 1, 3, 5]))
    assert (
        said is None
        if learned
        else said and "val/acc is 50.0 %, and always naming the most frequent letter gets 50.0 %" in said
    )


def test_without_a_validation_split_the_training_rows_decide():
    assert "train/acc is 30.0 %" in (below_chance([{"train/acc": 0.3}], data([])) or "")
    assert below_chance([{"train/acc": 0.4}], data([])) is None
