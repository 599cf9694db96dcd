import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from csv_text import csv_text, write_pair

from sign_cnn.data import sign_mnist
from sign_cnn.data.sign_mnist import SignMNISTDataModule
from sign_cnn.letters import FILES

TINY = {"train_photos": 1, "test_photos": 1, "variants": 2}


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Stand in for kagglehub's download, and return the path of a set."""
    text = csv_text(size=28)
    folder = write_pair(tmp_path / "kaggle" / "nested", text, text).parent
    kagglehub = Mock(**{"dataset_download.return_value": folder})
    monkeypatch.setitem(sys.modules, "kagglehub", kagglehub)
    return kagglehub.dataset_download


@pytest.fixture
def automatic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Yield settings for a process in an empty folder that has not tried Kaggle yet."""
    monkeypatch.chdir(tmp_path)
    # The sessions of the official set fit it alone.
    monkeypatch.setattr(sign_mnist, "OFFICIAL_FINGERPRINT", "other")
    sign_mnist.try_download.cache_clear()
    yield {"source": "auto", "root": "", "letters": "AB", "synthetic": TINY | {"seed": 3}}
    sign_mnist.try_download.cache_clear()


def test_auto_takes_kaggles_set_where_it_answers(kaggle, automatic):
    for _ in range(2):
        assert SignMNISTDataModule(**automatic).identity.kind == "custom"
    assert {path.name for path in Path("data/sign_mnist").iterdir()} == {*FILES}
    assert kaggle.call_count == 1


@pytest.mark.parametrize(
    ("settings", "reason"), [({}, "Kaggle"), ({"download": False}, "data.download=false")]
)
def test_auto_makes_hands_and_says_why(kaggle, automatic, settings: dict[str, bool], reason: str):
    kaggle.side_effect = ConnectionError
    identity = SignMNISTDataModule(**automatic, **settings).identity
    assert identity.kind == "synthetic"
    assert "data/sign_mnist" in identity.description
    assert reason in identity.description
