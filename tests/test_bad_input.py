"""What users get wrong ends in one message that names it, and leaves nothing half-written."""

import errno
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from csv_text import TEXT, write_pair, zipped

from sign_cnn import evaluate, export, predict, summarize
from sign_cnn.runs import lock_directory

RUN = Path("outputs/runs/tiny")
LINES = TEXT.splitlines(keepends=True)
GZ = gzip.compress(TEXT.encode())
ARCHIVE = zipped({"sign_mnist_train.csv": TEXT, "sign_mnist_test.csv": TEXT})


@pytest.fixture
def refused(command_line, tiny_overrides, capsys, tmp_path) -> Callable[..., None]:
    """Runs a command line that must be refused with these words, and looks at what it leaves."""

    def run(arguments: list[str], *words: str, program: ModuleType | None = None) -> None:
        if program:
            with pytest.raises(SystemExit) as stopped:
                program.main(arguments)
        code = stopped.value.code if program else command_line(*tiny_overrides, *arguments)
        output = capsys.readouterr()
        said = f"{output.out}{output.err}{code}"
        assert code == 1 or str(code).startswith("Error: ")
        assert [word for word in words if word not in said] == []
        assert "Traceback" not in said
        assert not list(tmp_path.rglob("*.tmp"))

    return run


@pytest.fixture
def finished(command_line, tiny_overrides, capsys) -> Path:
    """A run that is done."""
    assert command_line(*tiny_overrides) == 0
    capsys.readouterr()
    return RUN


def with_value(column: int, value: str) -> str:
    """Return the sample with one value of its third line replaced."""
    values = LINES[2].rstrip().split(",")
    return TEXT.replace(LINES[2], ",".join([*values[:column], value, *values[column + 1 :]]) + "\n")


TRAIN = "sign_mnist_train.csv"
BAD_CSVS = {
    "empty": ("", TRAIN),
    "no header": ("".join(LINES[1:]), "header"),
    "misspelt header": (TEXT.replace("pixel3,", "pixle3,"), "pixle3"),
    "a web page": ("<!DOCTYPE html>\n<title>Sign in</title>\n", "header"),
    "one row long": (TEXT.replace(LINES[2], LINES[2].replace("\n", ",7\n")), "line 3"),
    "all rows long": (LINES[0] + "".join(LINES[1:]).replace("\n", ",7\n"), TRAIN),
    "256": (with_value(5, "256"), "line 3"),
    "text": (with_value(5, "dark"), "dark"),
    "NaN": (with_value(5, "nan"), "line 3"),
    "label of J": (with_value(0, "9"), "line 3"),
}


@pytest.mark.parametrize(("content", "word"), BAD_CSVS.values(), ids=BAD_CSVS)
def test_bad_csv(content, word, refused, tmp_path):
    root = write_pair(tmp_path / "data", content)
    refused([f"data.root={root}", "data.image_size=8"], TRAIN, word)
    assert not RUN.exists()


FOLDERS = {
    "missing": ({}, "SIGN_MNIST_DIR"),
    "without CSVs": ({"notes.csv": b""}, "data=synthetic"),
    "half a pair": ({TRAIN: b""}, "sign_mnist_test.csv"),
    "gz cut short": ({f"{TRAIN}.gz": GZ[:-20], "sign_mnist_test.csv": b""}, f"{TRAIN}.gz"),
    "zip cut short": ({"archive.zip": ARCHIVE[:500]}, "archive.zip"),
    "zip of other files": ({"archive.zip": zipped({"a": ""})}, TRAIN),
}


@pytest.mark.parametrize(("files", "word"), FOLDERS.values(), ids=FOLDERS)
def test_bad_data_folder(files, word, refused, tmp_path):
    for name, content in files.items():
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).write_bytes(content)
    refused([f"data.root={tmp_path / 'data'}"], str(tmp_path / "data"), word)
    refused([f"data.root={__file__}"], __file__, "data.root")
    assert not RUN.exists()


SETTINGS = {
    "model.detph=2": "detph",
    "model=resnet": "resnet18",
    "init_from=nothing": "nothing/result.json",
    "trainer.epochs=2": "max_epochs",
    "experiment=bset": "best",
    "model.depth=two": "model.depth",
    "data.val_split=group": "data.val_split",
    f"name={'x' * 300}": "x" * 300,
    "sweep=design": "-m",
    "-m data.root=gone seed=0,1": "gone",
}


@pytest.mark.parametrize(("overrides", "word"), SETTINGS.items(), ids=[x[:40] for x in SETTINGS])
def test_bad_setting(overrides, word, refused):
    refused(overrides.split(), word)
    assert not any(Path("outputs").glob("*/*"))


def test_a_sweep_that_is_refused_is_not_called_interrupted(command_line, tiny_overrides, capsys):
    assert "model" in str(command_line("-m", *tiny_overrides, "model.depth=2,7"))
    assert "continue" not in capsys.readouterr().err


def test_a_setting_that_only_the_data_can_refuse_is_a_failed_run(refused):
    refused(["data.folds=97"], "data.folds")
    result = json.loads((RUN / "result.json").read_text())
    assert result["status"] == "failed"
    assert "data.folds" in result["error"]


def test_the_directory_of_another_run_is_left_as_it_is(finished, refused):
    files = [path for path in finished.rglob("*") if path.is_file() and path.name != "train.log"]
    before = {path: path.read_bytes() for path in files}
    refused(["model.depth=1"], "model.depth=1", "init_from=", str(RUN))
    with lock_directory(finished):
        refused([], str(RUN))
    assert {path: path.read_bytes() for path in files} == before


@pytest.mark.parametrize("written", [0, 2, 4], ids=["settings", "metrics", "checkpoint"])
def test_a_full_disk_after_which_the_same_command_goes_on(
    written, refused, command_line, tiny_overrides, monkeypatch
):
    left = iter([None] * written)

    def fsync(file: int) -> None:
        if next(left, errno) is errno:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        refused([], str(RUN), os.strerror(errno.ENOSPC))
    assert command_line(*tiny_overrides) == 0


def test_a_path_that_is_none_of_a_command_or_cannot_be_written(refused):
    for program in (evaluate, export, summarize):
        for path in ("gone", "."):
            refused([path], path, program=program)
    refused(["gone.ckpt", "K.png"], "gone.ckpt", program=predict)
    assert not list(Path().iterdir())
    Path("outputs").touch()
    refused([], str(RUN))
