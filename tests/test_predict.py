import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stub_network import noise, picture_of, stub_classifier, write_onnx, write_run

from sign_cnn import predict
from sign_cnn.app.looking import look
from sign_cnn.errors import UserError
from sign_cnn.images import picture_files
from sign_cnn.images.preprocessing import load_image
from sign_cnn.inference.reading import Reading, read, word
from sign_cnn.letters import LETTERS


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same network in each of its three forms."""
    folder = tmp_path_factory.mktemp("models")
    run = write_run(folder / "run", stub_classifier())
    onnx = write_onnx(folder / "model.onnx")
    return {"run": run, "checkpoint": run / "checkpoints" / "best.ckpt", "onnx": onnx}


@pytest.fixture
def hands(tmp_path: Path) -> Path:
    """H1.png, h2.png, h10.png: pictures of C, A and B."""
    folder = tmp_path / "hands"
    folder.mkdir()
    for name, letter in (("H1.png", "C"), ("h2.png", "A"), ("h10.png", "B")):
        picture_of(letter).save(folder / name)
    return folder


def run_predict(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[str, str]:
    predict.main([str(argument) for argument in arguments])
    return capsys.readouterr()


@pytest.mark.parametrize("form", ["run", "checkpoint", "onnx"])
def test_every_letter_comes_out_as_the_letter_that_went_in(models: dict[str, Path], tmp_path: Path, form: str):
    for letter in LETTERS:
        picture_of(letter, (60, 40)).save(tmp_path / f"{letter}.png")
    names = [str(tmp_path / f"{letter}.png") for letter in LETTERS]
    predictions = predict.predict(predict.open_model(models[form]), names)
    assert predictions.word == "ABCDEFGHIKLMNOPQRSTUVWXY"
    assert predictions.readings[9].letter == "K"


def test_the_web_page_reads_the_same_letters(models: dict[str, Path]):
    model = predict.open_model(models["onnx"])
    looks = []
    for letter in LETTERS:
        buffer = io.BytesIO()
        picture_of(letter, (300, 200)).convert("RGB").save(buffer, "PNG")
        looks.append(look(buffer.getvalue(), "a.png"))
    assert word(read(model, [item.pixels for item in looks])) == LETTERS


def test_prediction_and_web_page_see_a_row_of_the_data_set_pixel_for_pixel(tmp_path: Path):
    images = noise(20)
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    files, _ = picture_files.find([str(tmp_path)])
    assert all(np.array_equal(load_image(path), pixels) for path, pixels in zip(files, images, strict=True))
    seen = [look(path.read_bytes(), "a").pixels for path in files]
    assert all(np.array_equal(pixels, row) for pixels, row in zip(seen, images, strict=True))


def test_files_of_a_folder_and_of_a_pattern_come_in_the_order_of_their_numbers(models: dict[str, Path], hands: Path):
    model = predict.open_model(models["onnx"])
    assert predict.predict(model, [str(hands)]).word == "CAB"
    assert predict.predict(model, [f"{hands}/h*.png"]).word == "AB"


def test_named_files_keep_their_order(models: dict[str, Path], hands: Path):
    names = [str(hands / name) for name in ("h10.png", "h2.png", "H1.png")]
    assert predict.predict(predict.open_model(models["onnx"]), names).word == "BAC"


def test_the_table_spells_the_word(models: dict[str, Path], hands: Path, capsys: pytest.CaptureFixture[str]):
    out, err = run_predict(capsys, models["onnx"], hands)
    assert "word: CAB" in out
    assert not err


def test_one_bad_file_is_one_sentence_and_the_others_are_read(
    models: dict[str, Path], hands: Path, capsys: pytest.CaptureFixture[str]
):
    (hands / "h3.png").write_bytes(b"no picture")
    with pytest.raises(SystemExit) as stopped:
        predict.main([str(models["onnx"]), str(hands), str(hands / "gone.png"), "--csv"])
    captured = capsys.readouterr()
    assert stopped.value.code == 1
    assert [row["letter"] for row in csv.DictReader(io.StringIO(captured.out))] == ["C", "A", "B"]
    problems = captured.err.splitlines()
    assert len(problems) == 2
    assert "h3.png is not a picture" in problems[0]
    assert "gone.png does not exist" in problems[1]


def test_json_holds_the_three_likeliest(models: dict[str, Path], hands: Path, capsys: pytest.CaptureFixture[str]):
    content = json.loads(run_predict(capsys, models["onnx"], hands / "H1.png", "--json")[0])
    assert content["word"] == "C"
    top = content["pictures"][0]["top"]
    assert top[0]["letter"] == "C"
    assert {item["letter"] for item in top[1:]} == {"B", "D"}
    assert content["pictures"][0]["probability"] == top[0]["probability"]


def test_below_the_threshold_a_letter_is_unsure(models: dict[str, Path], hands: Path, tmp_path: Path, capsys):
    between = tmp_path / "between.png"
    Image.new("L", (28, 28), 15).save(between)  # as far from A as from B
    arguments = models["onnx"], hands / "h2.png", between
    assert "word: A?" in run_predict(capsys, *arguments, "--threshold", "0.6")[0]
    assert "unsure (" in run_predict(capsys, *arguments, "--threshold", "0.6")[0]
    assert "unsure" not in run_predict(capsys, models["onnx"], between, "--threshold", "0.1")[0]


def test_sure_from_the_threshold_on():
    assert Reading((("A", 0.5), ("B", 0.5)), threshold=0.5).shown == "A"
    assert Reading((("A", 0.49), ("B", 0.3)), threshold=0.5).shown == "?"


def test_crop_invert_and_mirror_reach_the_picture(models: dict[str, Path], tmp_path: Path, capsys):
    image = Image.new("L", (40, 40), 255 - 10)
    image.paste(30, (20, 0, 40, 40))
    image.save(tmp_path / "halves.png")
    arguments = models["onnx"], tmp_path / "halves.png", "--json"
    assert json.loads(run_predict(capsys, *arguments, "--crop", "20,0,20,40")[0])["word"] == "C"
    assert json.loads(run_predict(capsys, *arguments, "--crop", "0,0,20,40", "--invert")[0])["word"] == "A"
    mirrored = load_image(tmp_path / "halves.png", mirror=True)
    assert mirrored[0, 0] == 30
    run_predict(capsys, *arguments, "--mirror")


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--crop", "1,2,3", "four whole numbers"), ("--crop", "1,2,0,4", "no width"), ("--threshold", "3", "between 0")],
)
def test_impossible_options_are_refused(models, hands, capsys, option: str, value: str, said: str):
    with pytest.raises(SystemExit):
        predict.main([str(models["onnx"]), str(hands), option, value])
    assert said in capsys.readouterr().err


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(models: dict[str, Path], tmp_path: Path, capsys):
    picture_of("K").save(tmp_path / "[bold].png")
    out, _ = run_predict(capsys, models["onnx"], tmp_path / "[bold].png", "--csv")
    assert "[bold].png,K," in out


def test_names_that_lead_nowhere_are_said(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    files, problems = picture_files.find([str(tmp_path / "empty"), str(tmp_path / "*.png")])
    assert not files
    assert ["has no files" in problems[0], "matches no file" in problems[1]] == [True, True]


@pytest.mark.parametrize("name", ["gone", "empty"])
def test_what_is_no_model_is_one_sentence(tmp_path: Path, name: str):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=name) as caught:
        predict.open_model(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_names_that_the_system_refuses_are_said(models: dict[str, Path], hands: Path, capsys):
    with pytest.raises(SystemExit):
        predict.main([str(models["onnx"]), "x" * 5000, str(hands / "h2.png"), "--csv"])
    captured = capsys.readouterr()
    assert "h2.png,A," in captured.out
    assert captured.err == f"Error: {'x' * 100} cannot be opened: File name too long\n"


def test_a_network_without_answers_is_one_sentence(tmp_path: Path, hands: Path):
    model = stub_classifier()
    model.network.head[-1].bias.data.fill_(float("nan"))
    with pytest.raises(SystemExit, match="Error: the network's answers are not finite"):
        predict.main([str(write_onnx(tmp_path / "model.onnx", model)), str(hands)])


def test_a_model_file_is_read_without_torch(models: dict[str, Path], hands: Path):
    code = (
        "import sys; from sign_cnn.predict import main; main(sys.argv[1:]); "
        "assert not {'torch', 'pytorch_lightning', 'pandas', 'scipy'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, str(models["onnx"]), str(hands)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "word: CAB" in done.stdout
