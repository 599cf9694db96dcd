import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from sign_cnn.data import cache, csv, download
from sign_cnn.letters import RAW_LABELS

NAMES = ["sign_mnist_test.csv", "sign_mnist_train.csv"]


class Kaggle:
    """Stands in for kagglehub: serves a folder with a drawn pair, or fails."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.handles: list[str] = []
        self.error: Exception | None = None

    def dataset_download(self, handle: str) -> str:
        self.handles.append(handle)
        if self.error is not None:
            raise self.error
        return str(self.folder)


def write_pair(folder: Path, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    for name in NAMES:
        rows = np.column_stack([rng.choice(RAW_LABELS, 3), rng.integers(0, 256, (3, 784))])
        lines = [",".join(csv.COLUMNS), *(",".join(map(str, row)) for row in rows)]
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kaggle:
    folder = write_pair(tmp_path / "kaggle")
    for name in NAMES:  # as Kaggle lays them out
        nested = folder / name.removesuffix(".csv")
        nested.mkdir()
        shutil.copy(folder / name, nested)
    served = Kaggle(folder)
    monkeypatch.setitem(sys.modules, "kagglehub", served)
    official = cache.load(folder, tmp_path / "cache").fingerprint
    monkeypatch.setattr(download, "OFFICIAL_FINGERPRINT", official)
    return served


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "data" / "sign_mnist"


def said(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit code and the one line that was printed."""
    code, said = 0, ""
    try:
        download.main(["--root", str(root)])
    except SystemExit as end:  # Python prints its text, and exits with 1
        code, said = 1, f"{end}\n"
    text = capsys.readouterr().out + said
    assert text.count("\n") == 1
    return code, text


def test_official_pair_is_put_in_place_and_verified(
    kaggle: Kaggle, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(root, capsys)
    assert code == 0
    assert "now holds the official set" in text
    assert kaggle.handles == ["datamunge/sign-language-mnist"]
    assert sorted(path.name for path in root.iterdir()) == NAMES
    for name in NAMES:
        assert (root / name).read_bytes() == (kaggle.folder / name).read_bytes()


def test_good_copy_is_left_alone_without_a_network(
    kaggle: Kaggle, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said(root, capsys)
    before = [(root / name).stat().st_mtime_ns for name in NAMES]
    code, text = said(root, capsys)
    assert code == 0
    assert "already holds the official set" in text
    assert len(kaggle.handles) == 1
    assert [(root / name).stat().st_mtime_ns for name in NAMES] == before


def test_missing_half_is_completed(kaggle: Kaggle, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said(root, capsys)
    (root / NAMES[0]).unlink()
    assert said(root, capsys)[0] == 0
    assert (root / NAMES[0]).read_bytes() == (kaggle.folder / NAMES[0]).read_bytes()


def test_another_set_is_never_overwritten(kaggle: Kaggle, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_pair(root, seed=1)
    before = [(root / name).read_bytes() for name in NAMES]
    code, text = said(root, capsys)
    assert code == 1
    assert "holds another set" in text
    assert kaggle.handles == []
    assert [(root / name).read_bytes() for name in NAMES] == before


@pytest.mark.usefixtures("kaggle")
def test_damaged_file_is_named_and_not_overwritten(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root.mkdir(parents=True)
    (root / NAMES[1]).write_text("label\n")
    code, text = said(root, capsys)
    assert code == 1
    assert f"{root / NAMES[1]} is damaged or of another set; move it away" in text
    assert [path.name for path in root.iterdir()] == NAMES[1:]
    assert (root / NAMES[1]).read_text() == "label\n"


def test_other_pixels_from_kaggle_are_not_copied(
    kaggle: Kaggle, root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "OFFICIAL_FINGERPRINT", "0" * 64)
    code, text = said(root, capsys)
    assert code == 1
    assert "is not the official set" in text
    assert str(kaggle.folder) in text
    assert not root.exists()


def test_network_failure_is_one_sentence_with_the_way_by_hand(
    kaggle: Kaggle, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kaggle.error = ConnectionError("no route to host\nand a long story")
    code, text = said(root, capsys)
    assert code == 1
    for part in ("no route to host", "archive.zip", "https://www.kaggle.com/datasets/datamunge/", str(root)):
        assert part in text
    assert "long story" not in text


def test_without_kagglehub_the_extra_is_named(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    assert said(root, capsys) == (1, "Error: the download needs kagglehub: pip install -e .[download]\n")


@pytest.mark.usefixtures("kaggle")
def test_folder_that_cannot_be_written_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("no folder")
    code, text = said(tmp_path / "file" / "data", capsys)
    assert code == 1
    assert str(tmp_path / "file" / "data") in text


@pytest.mark.usefixtures("kaggle")
def test_interrupted_copy_leaves_nothing_half_written(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sign_cnn.files.os.fsync", full)
    code, text = said(root, capsys)
    assert code == 1
    assert "No space left on device" in text
    assert list(root.iterdir()) == []
