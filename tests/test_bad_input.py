"""What users get wrong ends in one message that names the thing and the way out, and leaves nothing half-written."""

import errno
import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from csv_text import TEXT, write_pair, zipped

from sign_cnn import evaluate, predict, summarize
from sign_cnn.runs import lock_directory

RUN = Path("outputs/runs/tiny")
LINES = TEXT.splitlines(keepends=True)
GZ = gzip.compress(TEXT.encode())
ARCHIVE = zipped({"sign_mnist_train.csv": TEXT, "sign_mnist_test.csv": TEXT})


@pytest.fixture
def refused(command_line, tiny_overrides, capsys, tmp_path) -> Callable[..., None]:
    """Runs a command line that must be refused in these words, and looks at what it leaves."""

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
        assert not [path for path in tmp_path.rglob("*") if path.suffix == ".tmp"]

    return run


@pytest.fixture
def finished(command_line, tiny_overrides, capsys) -> Path:
    """A run that is done."""
    assert command_line(*tiny_overrides) == 0
    capsys.readouterr()
    return RUN


def with_value(column: int, value: str) -> str:
    """The sample with one value of its third line replaced."""
    values = LINES[2].rstrip().split(",")
    return TEXT.replace(LINES[2], ",".join([*values[:column], value, *values[column + 1 :]]) + "\n")


TRAIN = "sign_mnist_train.csv"
NUMBERS = (f"{TRAIN} is not rows of numbers 0..255 (", "); copy or download it again")
HEADER = (f"{TRAIN} has a wrong header at ", "expected label,pixel1,")
BAD_CSVS = {
    "empty": ("", NUMBERS),
    "header only": (LINES[0], (f"{TRAIN} has no rows", "again")),
    "no header": ("".join(LINES[1:]), HEADER),
    "misspelt header": (TEXT.replace("pixel3,", "pixle3,"), (*HEADER, "'pixle3'")),
    "semicolons": (TEXT.replace(",", ";"), HEADER),
    "a web page": ("<!DOCTYPE html>\n<title>Sign in</title>\n", HEADER),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), NUMBERS),
    "one row short": (TEXT.replace(LINES[2], LINES[2].rpartition(",")[0] + "\n"), NUMBERS),
    "one row long": (TEXT.replace(LINES[2], LINES[2].replace("\n", ",7\n")), (*NUMBERS, "line 3")),
    "all rows long": (
        LINES[0] + "".join(LINES[1:]).replace("\n", ",7\n"),
        (TRAIN, "more values than its header"),
    ),
    "cut short": (TEXT[:-30], NUMBERS),
    "256": (with_value(5, "256"), NUMBERS),
    "-1": (with_value(5, "-1"), NUMBERS),
    "text": (with_value(5, "dark"), (*NUMBERS, "'dark'")),
    "blank": (with_value(5, ""), (*NUMBERS, "column 5")),
    "NaN": (with_value(5, "nan"), (*NUMBERS, "column 5")),
    "label of J": (
        with_value(0, "9"),
        (f"{TRAIN}, line 3: label 9 is no letter's", "0..24 without 9"),
    ),
    "label of Z": (with_value(0, "25"), (f"{TRAIN}, line 3: label 25 is no letter's",)),
}


@pytest.mark.parametrize(("content", "words"), BAD_CSVS.values(), ids=BAD_CSVS)
def test_bad_csv(content, words, refused, tmp_path):
    refused([f"data.root={write_pair(tmp_path / 'data', content)}", "data.image_size=8"], *words)
    assert not RUN.exists()


FOLDERS = {
    "missing": ({}, ("there is no folder", "SIGN_MNIST_DIR", "data.download", "data=synthetic")),
    "without CSVs": ({"notes.csv": b""}, ("no Sign Language MNIST in", "data=synthetic")),
    "half a pair": ({TRAIN: b""}, (f"{TRAIN} but no sign_mnist_test.csv", "data=synthetic")),
    "gz cut short": (
        {f"{TRAIN}.gz": GZ[:-20], "sign_mnist_test.csv": b""},
        (f"{TRAIN}.gz is not rows", "again"),
    ),
    "zip cut short": (
        {"archive.zip": ARCHIVE[:500]},
        ("archive.zip is damaged or cut short", "again"),
    ),
    "zip of other files": (
        {"archive.zip": zipped({"a": ""})},
        ("archive.zip holds no", TRAIN, "again"),
    ),
}


@pytest.mark.parametrize(("files", "words"), FOLDERS.values(), ids=FOLDERS)
def test_bad_data_folder(files, words, refused, tmp_path):
    for name, content in files.items():
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / name).write_bytes(content)
    refused([f"data.root={tmp_path / 'data'}"], str(tmp_path / "data"), *words)
    refused([f"data.root={__file__}"], f"{__file__} is a file", "data.root must be the folder")
    assert not RUN.exists()


SETTINGS = {
    "model.detph=2": ("Could not override 'model.detph'", "Did you mean model.depth?"),
    "epochs=2": ("Did you mean trainer.max_epochs?",),
    "lr=0.1": ("Did you mean optimizer.lr?",),
    "model=resnet": ("Could not find 'model/resnet'", "Did you mean model=resnet18?"),
    "experiment=bset": ("Could not find 'experiment/bset'", "Did you mean experiment=best?"),
    "model.depth=two": ("model.depth: Value 'two'", "Integer"),
    "data.val_split=group": ("data.val_split: Invalid value 'group'", "photo"),
    "+model.foo=2": ("model.foo is not a setting; there are", "depth"),
    "optimizer.lr=${nothing}": ("optimizer.lr: Interpolation key 'nothing' not found",),
    "augment.rotation=200 data.batch_size=0 model.depth=5 model.kernel_size=4": (
        "augment.rotation=200.0 must be at least 0 and at most 180",
        "data.batch_size=0 must be at least 1",
        "model.kernel_size=4 must be odd",
        "5 blocks do not fit 28×28 pixels (28 → 14 → 7 → 3 → 1 → 0): at most 4",
    ),
    "trainer.max_epochs=0": ("trainer.max_epochs=0 must be a whole number of at least 1",),
    "data.fold=4": ("data.fold=4 must be below data.folds=4",),
    "data.val_size=0.2": ("data.val_size=0.2 needs data.val_split=random",),
    "data.letters=AAB": ("data.letters=AAB must be two or more different",),
    "callbacks=[default,early_stopping] data.val_split=none": (
        "callbacks.early_stopping needs a validation split",
    ),
    "name=a/b": ("name='a/b' cannot be a directory's name", "choose"),
    f"name={'x' * 300}": ("cannot be a directory's name", "choose a short one"),
    "sweep=design": ("sweep=design is a sweep: add -m",),
    "-m name=a/b seed=0,1": ("name='a/b' cannot be a directory's name",),
    "-m model.detph=1,2": ("model.detph is not a setting: did you mean model.depth?",),
    "-m seed=0,1 hydra.launcher._target_=hydra_plugins.hydra_moon_launcher.Moon": (
        'hydra/launcher=moon is not installed: pip install -e ".[moon]"',
    ),
    "-m data.root=gone seed=0,1": ("there is no folder gone", "data=synthetic"),
}


@pytest.mark.parametrize(
    ("overrides", "words"), SETTINGS.items(), ids=[key[:40] for key in SETTINGS]
)
def test_bad_settings(overrides, words, refused):
    refused(overrides.split(), *words)
    assert not any(Path("outputs").glob("*/*"))


LATE = {
    "data.folds=97": ("data.folds=97 is too many", "allows at most 23"),
    "data.image_size=32": ("have 28×28 pixels: set data.image_size=28",),
    "data.letters=AJ": ("show 1 of the letters AJ", "set other data.letters"),
    "optimizer.lr=-1": ("optimizer: Invalid learning rate: -1",),
    "+optimizer.foo=1": ("optimizer: ", "unexpected keyword argument 'foo'"),
    "+trainer.foo=1": ("trainer: ", "unexpected keyword argument 'foo'"),
    "trainer=gpu": ("trainer: No supported gpu backend found",),
    "+logger.x._target_=foo.Bar": ("logger.x: Error loading 'foo.Bar'", "is installed?"),
    "scheduler=one_cycle scheduler.pct_start=2": ("scheduler: ", "between 0 and 1"),
    "init_from=nothing": ("nothing/checkpoints/best.ckpt does not exist",),
}


@pytest.mark.parametrize(("overrides", "words"), LATE.items(), ids=LATE)
def test_settings_that_only_the_data_or_a_library_can_refuse_are_a_failed_run(
    overrides, words, refused, monkeypatch
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    refused(overrides.split(), *words)
    result = json.loads((RUN / "result.json").read_text())
    assert result["status"] == "failed"
    assert words[0] in result["error"]


@pytest.mark.parametrize("overrides", ["model=resnet18 model.width=3", "model.depth=1,2"])
def test_what_was_typed_is_not_suggested(overrides, command_line, tiny_overrides, capfd):
    assert command_line(*tiny_overrides, *overrides.split()) == 1
    said = capfd.readouterr().err
    assert overrides.split()[-1].partition("=")[0] in said
    assert "Did you mean" not in said


@pytest.mark.parametrize(
    "overrides", ["optimizer.lr=-1", "+trainer.foo=1", "trainer=gpu", "model.kernel_size=2"]
)
def test_a_dry_run_asks_the_libraries_too(
    overrides, command_line, tiny_overrides, capfd, monkeypatch
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert command_line(*tiny_overrides, *overrides.split(), "dry_run=true") == 0
    assert capfd.readouterr().out.startswith("impossible: ")


def test_directory_of_another_run_is_left_as_it_is(finished, refused):
    before = {
        path: path.read_bytes()
        for path in finished.rglob("*")
        if path.is_file() and path.name != "train.log"
    }
    refused(
        ["model.depth=1"],
        "differs in model.depth=1 (there: 2)",
        "choose another name",
        "init_from=",
        str(RUN),
    )
    with lock_directory(finished):
        refused([], "another process is at work in", "choose another name")
    assert {path: path.read_bytes() for path in before} == before


def test_start_from_another_network(finished, refused):
    refused(
        ["name=other", f"init_from={finished}", "model.depth=1"], f"init_from={finished}", "model.*"
    )


@pytest.mark.parametrize("file", ["result.json", "checkpoints/last.ckpt"])
def test_damaged_file_of_a_run_to_resume(file, finished, refused):
    result = json.loads((finished / "result.json").read_text()) | {"status": "interrupted"}
    (finished / "result.json").write_text(json.dumps(result))
    (finished / file).write_bytes((finished / file).read_bytes()[:500])
    refused([], str(finished / file), "remove it to")


@pytest.mark.parametrize("written", [0, 2, 4], ids=["settings", "metrics", "checkpoint"])
def test_full_disk(written, refused, monkeypatch):
    left = iter([None] * written)

    def fsync(file: int) -> None:
        if next(left, errno) is errno:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)
    refused(
        [],
        "outputs/runs/tiny: No space left on device; free some space and run the same command again",
    )


def test_path_that_is_none_of_a_command_or_cannot_be_written(refused):
    refused(["gone"], "gone is not a directory", "such as outputs/runs/NAME", program=evaluate)
    refused(["."], "result.json does not exist: is . the directory of a run?", program=evaluate)
    refused(["gone"], "gone is not a folder", "such as outputs/sweeps/NAME", program=summarize)
    refused(["."], ". holds no run", "such as outputs/sweeps/NAME", program=summarize)
    assert not list(Path().iterdir())
    Path("outputs").touch()
    refused([], "outputs/runs/tiny: Not a directory; choose a writable directory")
    refused(
        ["gone.ckpt", "K.png"],
        "gone.ckpt does not exist",
        "name another checkpoint",
        program=predict,
    )


def test_picture_that_is_none(finished, refused):
    refused(
        [str(finished), "gone.png", str(finished / "config.yaml")],
        "gone.png",
        "config.yaml",
        program=predict,
    )
