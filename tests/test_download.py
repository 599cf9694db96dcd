import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from sign_cnn.config import SyntheticConfig
from sign_cnn.data import download, sign_mnist
from sign_cnn.data.sign_mnist import SignMNISTDataModule
from sign_cnn.data.synthetic.pictures import ensure_synthetic
from sign_cnn.letters import FILES as NAMES

TINY = {"train_photos": 1, "test_photos": 1, "variants": 2}


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Stand in for kagglehub's download, and return the path of a synthetic set."""
    folder = ensure_synthetic(tmp_path / "kaggle", SyntheticConfig(**TINY), "AB")
    kagglehub = Mock(**{"dataset_download.return_value": folder})
    monkeypatch.setitem(sys.modules, "kagglehub", kagglehub)
    return kagglehub.dataset_download


def run(root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the line that the command prints, or ends with."""
    try:
        download.main(["--root", str(root)])
    except SystemExit as end:
        return str(end)
    (line,) = capsys.readouterr().out.splitlines()
    return line


def contents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in root.iterdir()}


@pytest.mark.parametrize("present", [(), NAMES[:1]])
def test_missing_files_are_copied_once(kaggle, tmp_path, capsys, present: tuple[str, ...]):
    root, served = tmp_path / "a" / "b", contents(kaggle.return_value)
    root.mkdir(parents=True)
    for name in present:
        (root / name).write_bytes(served[name])
    assert all(str(root) in run(root, capsys) for _ in range(2))
    assert contents(root) == {name: served[name] for name in NAMES}
    kaggle.assert_called_once_with("datamunge/sign-language-mnist")


def test_failures_name_the_way_out(kaggle, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    assert str(tmp_path / "file") in run(tmp_path / "file" / "root", capsys)
    kaggle.side_effect = ConnectionError("no route to host")
    line = run(tmp_path, capsys)
    page = "https://www.kaggle.com/datasets/datamunge/sign-language-mnist"
    assert all(part in line for part in ("no route to host", page, str(tmp_path)))
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    assert "[download]" in run(tmp_path, capsys)


@pytest.fixture
def automatic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Yield settings for a process in an empty folder that has not tried Kaggle yet."""
    monkeypatch.chdir(tmp_path)
    # The sessions of the official set fit it alone.
    monkeypatch.setattr(sign_mnist, "OFFICIAL_FINGERPRINT", "other")
    download.try_download.cache_clear()
    yield {"source": "auto", "root": "", "letters": "AB", "synthetic": TINY | {"seed": 3}}
    download.try_download.cache_clear()


def test_auto_takes_kaggles_set_where_it_answers(kaggle, automatic):
    for _ in range(2):
        assert SignMNISTDataModule(**automatic).identity.kind == "custom"
    assert set(contents(Path("data/sign_mnist"))) == set(NAMES)
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
