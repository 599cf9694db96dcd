import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stub_network import noise, picture_of, stub_classifier, write_checkpoint, write_onnx

from sign_cnn import predict
from sign_cnn.errors import UserError
from sign_cnn.letters import LETTERS
from sign_cnn.models.classifier import SignClassifier


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network as a run, as its checkpoint, and as model.onnx; and files that are no models."""
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
def run_predict(models: Path, capsys: pytest.CaptureFixture[str]):
    def run(*arguments: object) -> str:
        predict.main([str(models / "model.onnx"), *map(str, arguments)])
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("name", ["run", "run/checkpoints/best.ckpt", "model.onnx"])
def test_every_letter_comes_out_as_the_letter_that_went_in(models: Path, name: str):
    model = predict.load_model(models / name)
    images = [np.asarray(picture_of(letter)) for letter in 20 * LETTERS]  # more than a batch
    assert predict.spell(predict.read_inputs(model, images)) == 20 * LETTERS
    assert (model.letters, model.image_size) == (LETTERS, 28)
    assert model.predict_proba(noise(1, 28, 28)).sum(1) == pytest.approx(1)


@pytest.mark.parametrize(
    ("names", "word"),
    [
        (["."], "CAB"),
        (["h*.png"], "CB"),
        (["h10.png", "H2.png", "h1.png"], "BAC"),
        (["**/*.png"], "CAB"),
    ],
)
def test_pictures_spell_a_word(
    hands: Path, run_predict, monkeypatch: pytest.MonkeyPatch, names: list[str], word: str
):
    monkeypatch.chdir(hands)
    assert f"word: {word}\n" in run_predict(*names)


def test_bad_pictures_are_listed_and_the_others_read(models: Path, hands: Path, capsys):
    (hands / "h3.png").write_bytes(b"no picture")
    names = [hands, hands / "gone.png", models / "empty", "no*.png"]
    with pytest.raises(SystemExit) as stopped:
        predict.main([str(models / "model.onnx"), *map(str, names), "--csv"])
    out, err = capsys.readouterr()
    assert stopped.value.code == 1
    assert [line.split(",")[1] for line in out.splitlines()] == ["letter", "C", "A", "B"]
    said = [
        "h3.png is not a picture",
        "gone.png cannot be opened",
        "empty: no files found",
        "no*.png: no files found",
    ]
    assert all(words in line for words, line in zip(said, err.splitlines(), strict=True))


def test_json_holds_the_word_and_the_three_likeliest(hands: Path, run_predict):
    content = json.loads(run_predict(hands, "--json"))
    (file, letter, probability, sure, top), *_ = (
        picture.values() for picture in content["pictures"]
    )
    assert (content["word"], content["problems"], letter, sure) == ("CAB", [], "C", True)
    assert (file, max(top.values()), set(top)) == (
        str(hands / "h1.png"),
        probability,
        {"B", "C", "D"},
    )


def test_below_the_threshold_a_letter_is_unsure(hands: Path, run_predict):
    Image.new("L", (28, 28), 15).save(hands / "between.png")  # as far from A as from B
    assert "word: A?" in run_predict(hands / "H2.png", hands / "between.png", "--threshold", "0.6")
    assert "?" not in run_predict(hands / "between.png", "--threshold", "0.1")


def test_crop_invert_and_mirror_reach_the_picture(
    hands: Path, run_predict, monkeypatch: pytest.MonkeyPatch
):
    seen = []
    monkeypatch.setattr(
        predict, "prepare", lambda _, **options: seen.append(options) or noise(28, 28)
    )
    for options in (["--mirror"], ["--invert", "--crop", "20,0,40,40"]):
        run_predict(hands / "H2.png", *options)
    assert [list(options.values()) for options in seen] == [
        [28, None, False, True],
        [28, (20, 0, 40, 40), True, False],
    ]


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(hands: Path, run_predict):
    (hands / "H2.png").rename(hands / "[bold].png")
    assert "[bold].png,A," in run_predict(hands / "[bold].png", "--csv")


def test_of_a_run_its_export_is_read_unless_it_is_older(models: Path, tmp_path: Path):
    run = Path(shutil.copytree(models / "run", tmp_path / "run"))
    shutil.copy(models / "model.onnx", run)
    assert isinstance(predict.load_model(run), predict.OnnxModel)
    os.utime(run / "model.onnx", (0, 0))
    assert isinstance(predict.load_model(run), SignClassifier)


def test_what_a_network_looks_at_is_where_covering_changes_its_answer(models: Path):
    class Corner:
        """Sure of its letter while the pixel in the corner is white."""

        def predict_proba(self, images):
            white = (images[:, 0, 0] == 255).astype(np.float32)
            return np.stack([0.1 + 0.8 * white, 0.9 - 0.8 * white], axis=1)

    image = np.zeros((28, 28), np.uint8)
    image[0, 0] = 255
    heat = predict.attend(Corner(), image)
    assert heat[0, 0] == heat.max() == 1
    assert (heat[7:] == 0).all()
    assert (heat[:, 7:] == 0).all()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("empty", "best.ckpt does not exist"),
        ("gone.onnx", "does not exist: make it with"),
        ("text.ckpt", "cannot be read as a checkpoint"),
        ("text.onnx", "is not an exported network"),
    ],
)
def test_what_is_no_model_is_one_sentence(models: Path, name: str, said: str):
    with pytest.raises(UserError, match=f"{name}.*{said}[^\n]*$"):
        predict.load_model(models / name)


def test_without_onnxruntime_the_way_out_is_said(models: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r'needs onnxruntime: pip install -e "\.\[export\]"'):
        predict.load_model(models / "model.onnx")


def test_a_model_file_is_read_without_torch(models: Path, hands: Path):
    code = "import sys; from sign_cnn.predict import main; main(sys.argv[1:]); print(*sys.modules)"
    out = subprocess.check_output(
        [sys.executable, "-c", code, str(models / "model.onnx"), str(hands)], text=True
    )
    assert "word: CAB" in out
    assert not {"torch", "pytorch_lightning", "hydra", "scipy"} & set(out.split())
