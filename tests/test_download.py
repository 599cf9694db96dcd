import sys
from pathlib import Path

import pytest
import requests

from sign_cnn.config import DataConfig, SyntheticConfig
from sign_cnn.data import dataset, download
from sign_cnn.data.csv import find_csvs
from sign_cnn.data.dataset import describe_source, find_source, read_dataset
from sign_cnn.data.drawn import FILES, ensure_drawn

NAMES = FILES[:2]


class FakeKaggle:
    """In place of kagglehub: serves a folder with a drawn set, or fails."""

    def __init__(self, folder: Path) -> None:
        self.served = {name: (folder / name).read_bytes() for name in NAMES}
        self.folder, self.calls, self.error = folder, 0, None

    def dataset_download(self, handle: str) -> str:
        assert handle == "datamunge/sign-language-mnist"
        self.calls += 1
        if self.error:
            raise self.error
        return str(self.folder)


@pytest.fixture
def kaggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKaggle:
    folder = ensure_drawn(
        tmp_path / "kaggle", SyntheticConfig(train_photos=1, test_photos=1, variants=2), "AB"
    )
    monkeypatch.setattr(
        download, "OFFICIAL_FINGERPRINT", read_dataset(find_csvs(folder))["fingerprint"]
    )
    monkeypatch.setitem(sys.modules, "kagglehub", FakeKaggle(folder))
    return sys.modules["kagglehub"]


def run(root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that the command prints, or ends with."""
    try:
        download.main(["--root", str(root)])
    except SystemExit as end:
        return str(end)
    (line,) = capsys.readouterr().out.splitlines()
    return line


@pytest.mark.parametrize("present", [(), NAMES[:1], NAMES[1:]])
def test_missing_files_are_copied_once(
    kaggle: FakeKaggle, tmp_path: Path, capsys, present: tuple[str, ...]
) -> None:
    root = tmp_path / "a" / "b"
    root.mkdir(parents=True)
    for name in present:
        (root / name).write_bytes(kaggle.served[name])
    assert run(root, capsys) == f"{root} now holds the official set (verified)"
    assert run(root, capsys) == f"{root} already holds the official set (verified); nothing to do"
    assert {path.name: path.read_bytes() for path in root.iterdir()} == kaggle.served
    assert kaggle.calls == 1


@pytest.mark.parametrize("damaged", [False, True])
def test_other_files_are_not_overwritten(
    kaggle: FakeKaggle, tmp_path: Path, capsys, damaged: bool
) -> None:
    root = ensure_drawn(
        tmp_path / "other", SyntheticConfig(train_photos=1, test_photos=1, variants=2, seed=1), "AB"
    )
    if damaged:
        (root / NAMES[0]).write_text("label\n")
    before = {path.name: path.read_bytes() for path in root.iterdir()}
    expected = (
        f"{root / NAMES[0]} is damaged or of another set"
        if damaged
        else f"{root} holds another data set"
    )
    assert run(root, capsys).startswith(f"Error: {expected}")
    assert {path.name: path.read_bytes() for path in root.iterdir()} == before


@pytest.mark.parametrize("test_csv", [b"label\n", None])
def test_other_data_from_kaggle_are_not_copied(
    kaggle: FakeKaggle, tmp_path: Path, capsys, test_csv: object
) -> None:
    (kaggle.folder / NAMES[1]).write_bytes(test_csv or kaggle.served[NAMES[0]])
    assert "on Kaggle is not the official set" in run(tmp_path / "root", capsys)
    assert not (tmp_path / "root").exists()


def test_failures_name_the_way_out(kaggle: FakeKaggle, tmp_path: Path, capsys, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    assert run(tmp_path / "file" / "root", capsys).endswith("; choose a writable directory")
    kaggle.error = ConnectionError("no route to host\n" + "a long story " * 20)
    line = run(tmp_path, capsys)
    assert line.startswith(
        "Error: no download from Kaggle (ConnectionError: no route to host a long story"
    )
    page = "https://www.kaggle.com/datasets/datamunge/sign-language-mnist"
    assert line.endswith(
        f"[...]); download archive.zip in a browser from {page} and put it in {tmp_path}"
    )
    monkeypatch.setitem(sys.modules, "kagglehub", None)
    assert (
        run(tmp_path, capsys) == 'Error: the download needs kagglehub: pip install -e ".[download]"'
    )


@pytest.fixture
def kaggle_answers(monkeypatch: pytest.MonkeyPatch):
    """Whether Kaggle answers; and a process that has not tried yet."""

    def answer(works: bool) -> None:
        def head(url: str, timeout: float) -> None:
            assert timeout <= 5
            if not works:
                raise requests.ConnectionError("no route to host")

        monkeypatch.setattr(requests, "head", head)
        download.try_download.cache_clear()

    yield answer
    download.try_download.cache_clear()


def automatic(tmp_path: Path, **fields: object) -> DataConfig:
    small = SyntheticConfig(train_photos=1, test_photos=1, shots=1, variants=2, seed=3)
    where = {"cache_dir": str(tmp_path / "cache"), "synthetic_root": str(tmp_path / "drawn")}
    return DataConfig(name="auto", letters="AB", synthetic=small, **where, **fields)


def test_auto_takes_kaggles_set_where_it_answers(
    kaggle: FakeKaggle, kaggle_answers, tmp_path: Path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        dataset, "OFFICIAL_FINGERPRINT", "other"
    )  # the sessions of the official set fit it alone
    kaggle_answers(True)
    assert find_source(automatic(tmp_path)).root == Path(DataConfig.root)
    assert find_csvs(Path(DataConfig.root))
    find_source(automatic(tmp_path))
    assert kaggle.calls == 1


@pytest.mark.parametrize(
    ("fields", "reason"),
    [({}, "it cannot be reached"), ({"download": False}, "data.download=false")],
)
def test_auto_draws_hands_and_says_why(
    kaggle: FakeKaggle, kaggle_answers, tmp_path, monkeypatch, fields, reason
):
    monkeypatch.chdir(tmp_path)
    kaggle_answers(False)
    said = describe_source(automatic(tmp_path, **fields), "synthetic")
    assert said.endswith(f"(no CSVs in data/sign_mnist, no download from Kaggle: {reason})")
    assert kaggle.calls == 0
