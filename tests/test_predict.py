import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from stub_network import GREY, picture_of, stub_classifier, write_checkpoint, write_onnx

from sign_cnn import predict
from sign_cnn.errors import UserError
from sign_cnn.letters import LETTERS
from sign_cnn.models.classifier import Classifier


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network as a run, its checkpoint, and model.onnx; and files that are no models."""
    folder = tmp_path_factory.mktemp("models")
    write_checkpoint(folder / "run" / "checkpoints" / "best.ckpt", stub_classifier())
    write_onnx(folder / "model.onnx")
    (folder / "empty").mkdir()
    (folder / "text.ckpt").write_text("text")
    (folder / "text.onnx").write_text("text")
    return folder


@pytest.fixture
def hands(tmp_path: Path) -> Path:
    """Spells CAB in the order of numbers, ACB in that of characters."""
    for name, letter in (("h1.png", "C"), ("H2.png", "A"), ("h10.png", "B"), (".hidden.png", "Y")):
        picture_of(letter).save(tmp_path / name)
    return tmp_path


@pytest.fixture
def run_predict(models: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict]:
    def run(*arguments: object) -> dict:
        predict.main([str(models / "model.onnx"), *map(str, arguments), "--json"])
        return json.loads(capsys.readouterr().out)

    return run


@pytest.mark.parametrize("name", ["run", "run/checkpoints/best.ckpt", "model.onnx"])
def test_every_letter_comes_out_as_the_letter_that_went_in(models: Path, name: str):
    model = predict.load_model(models / name)
    pictures = [np.asarray(picture_of(letter))[None] for letter in 20 * LETTERS]  # several batches
    assert predict.spell(predict.predict(model, pictures)) == 20 * LETTERS
    assert (model.class_names, model.inputs) == (list(LETTERS), GREY)
    found = predict.predict(model, pictures[:2])
    assert (found[0].label, list(found[0].top)[:2]) == ("A", ["A", "B"])
    assert predict.spell([found[1], found[0]._replace(label="red fox"), found[0]]) == "B red fox A"


CASES = {".": "CAB", "h*.png": "CB", "h10.png H2.png h1.png h1.png": "BACC", "**/*.png": "CAB"}


@pytest.mark.parametrize(("names", "word"), [*CASES.items(), ("[h].png", "B")])
def test_pictures_spell_a_word(
    hands: Path, run_predict, monkeypatch: pytest.MonkeyPatch, names: str, word: str
):
    if names == "[h].png":  # a file before it is a pattern
        (hands / "h10.png").rename(hands / names)
    monkeypatch.chdir(hands)
    content = run_predict(*names.split())
    first = content["pictures"][0]
    assert (content["word"], content["problems"]) == (word, [])
    assert (first["label"], first["sure"], Path(first["file"]).exists()) == (word[0], True, True)
    assert first["probability"] == max(first["top"].values())


def test_bad_pictures_are_listed_and_the_others_read(models: Path, hands: Path, capsys):
    (hands / "h3.png").write_bytes(b"no picture")
    names = [hands, hands / "gone.png", models / "empty", "no*.png"]
    with pytest.raises(SystemExit) as stopped:
        predict.main([str(models / "model.onnx"), *map(str, names)])
    assert "word: CAB\n" in capsys.readouterr().out
    named = ["h3.png", "gone.png", "empty", "no*.png"]
    lines = str(stopped.value.code).splitlines()
    assert all(name in line for name, line in zip(named, lines, strict=True))


def test_a_reader_that_has_enough_causes_no_traceback(models: Path, hands: Path):
    arguments = f"-m sign_cnn.predict {models / 'model.onnx'} {hands / 'h1.png'} --json"
    command = f"set -o pipefail; {sys.executable} {arguments} | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_threshold_reaches_the_prediction(
    hands: Path, run_predict, monkeypatch: pytest.MonkeyPatch
):
    read = Mock(wraps=predict.predict)
    monkeypatch.setattr(predict, "predict", read)
    run_predict(hands / "h1.png", "--threshold", "0.7")
    assert read.call_args.args[2] == 0.7


def test_of_a_run_its_export_is_read_unless_it_is_older(models: Path, tmp_path: Path):
    run = Path(shutil.copytree(models / "run", tmp_path / "run"))
    shutil.copy(models / "model.onnx", run)
    assert isinstance(predict.load_model(run), predict.OnnxModel)
    os.utime(run / "model.onnx", (0, 0))
    assert isinstance(predict.load_model(run), Classifier)


@pytest.mark.parametrize("name", ["empty", "gone.onnx", "text.ckpt", "text.onnx"])
def test_a_file_that_is_no_model_is_named(models: Path, name: str):
    with pytest.raises(UserError, match=rf"{name}[^\n]*$"):
        predict.load_model(models / name)


def test_without_onnxruntime_the_package_is_named(models: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match="onnxruntime"):
        predict.load_model(models / "model.onnx")
