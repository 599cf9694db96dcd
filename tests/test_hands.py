"""From photographs to letters: the finder, and the commands and networks that use it."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from drawn_letter import draw_letter
from fake_finder import SAMPLES, FakeFinder
from PIL import Image, ImageOps

from sign_cnn import evaluate, export, predict
from sign_cnn.app import streamlit_app
from sign_cnn.config import DataConfig
from sign_cnn.data.dataset import load_dataset
from sign_cnn.errors import DataError, UserError
from sign_cnn.hands import finder as finder_module
from sign_cnn.hands import landmarks
from sign_cnn.hands.finder import HandFinder, find_models
from sign_cnn.hands.landmarks import COORDINATES, measure_folder, read_landmarks
from sign_cnn.letters import LETTERS
from sign_cnn.predict import OnnxModel
from sign_cnn.runs import Result
from sign_cnn.teach import teach, vary


@pytest.fixture
def fake_finder(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeFinder.stand_in(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two series of two pictures of each of three letters; one picture shows no hand."""
    for number, letter in enumerate("ABC", start=1):
        for name in ("day_1", "day_2", "night_1", "night_2"):
            path = tmp_path / "mine" / letter.lower() / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (9, 9), number).save(path)
    Image.new("L", (9, 9), 0).save(tmp_path / "mine" / "a" / "night_2.png")
    return tmp_path / "mine"


def test_what_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(finder_module.MODELS_VARIABLE, str(tmp_path))
    with pytest.raises(
        UserError, match=r"HAND_MODELS_DIR=.* lacks palm_detection_full or hand_landmark_full"
    ):
        find_models()
    for name in finder_module.MEMBERS:
        (tmp_path / f"{name}.onnx").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"palm_detection_full\.onnx is damaged"):
        HandFinder()
    monkeypatch.delenv(finder_module.MODELS_VARIABLE)
    monkeypatch.setattr(finder_module, "FOLDER", tmp_path / "nothing")
    with pytest.raises(
        UserError, match=r"needs MediaPipe's weights: python -m sign_cnn\.hands\.finder"
    ):
        find_models()


def test_weights_are_fetched_once_and_only_if_they_are_the_expected_ones(tmp_path, monkeypatch):
    contents, calls = {name: name.encode() for name in finder_module.MEMBERS}, []

    def download(command: list[str], check: bool):
        calls.append(command)
        target = next(item for item in command if item.startswith("--dest=")).removeprefix(
            "--dest="
        )
        with finder_module.zipfile.ZipFile(f"{target}/wheel.whl", "w") as wheel:
            for name, content in contents.items():
                wheel.writestr(f"mediapipe/modules/{name}/{name}.tflite", content)
        return finder_module.subprocess.CompletedProcess(command, 0)

    monkeypatch.delenv(finder_module.MODELS_VARIABLE, raising=False)
    monkeypatch.setattr(finder_module, "FOLDER", tmp_path / "models")
    monkeypatch.setattr(finder_module.subprocess, "run", download)
    with pytest.raises(
        UserError, match="are not the files that were expected; nothing was written"
    ):
        find_models(download=True)
    assert not (tmp_path / "models").exists()
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    monkeypatch.setattr(finder_module, "MEMBERS", digests)
    assert {path.name for path in find_models(download=True).iterdir()} == {
        f"{name}.tflite" for name in contents
    }
    find_models(download=True)
    assert len(calls) == 2


@pytest.mark.hand_models
def test_a_drawn_hand_is_found_wherever_it_lies_and_noise_is_none(finder: HandFinder):
    hand_picture = Image.fromarray(draw_letter("D", 1, 128))
    hand = finder(hand_picture)
    assert hand.score > 0.5
    assert (hand.points[12] < hand.points[0])[1], "the middle finger is above the wrist"
    size = np.ptp(hand.points[:, :2], axis=0).max()
    mirrored = finder(ImageOps.mirror(hand_picture))
    assert {hand.hand, mirrored.hand} == {"left", "right"}
    gap = np.abs(
        mirrored.as_left() - hand.as_left() - [128 if hand.hand == "left" else -128, 0, 0]
    )[:, :2]
    assert np.median(np.minimum(gap, np.abs(gap - 256))) < 0.06 * size
    wide = Image.new("L", (400, 300), 128)
    wide.paste(hand_picture, (150, 50))
    assert np.median(np.abs(finder(wide).points - hand.points - [150, 50, 0])[:, :2]) < 0.06 * size
    assert (
        finder(Image.fromarray(np.random.default_rng(0).integers(0, 256, (99, 99), dtype=np.uint8)))
        is None
    )


@pytest.mark.real_data
def test_photographs_of_a_stranger_are_read_with_the_right_label_map(
    finder: HandFinder, hand_photos: Path
):
    """One picture of each letter of five people who are in no training data, and the 24 letters in their order."""
    model, right = OnnxModel(streamlit_app.HANDS), 0
    assert model.letters == LETTERS
    for letter in LETTERS:
        path = sorted((hand_photos / "set2" / letter).iterdir())[0]
        hand = finder(Image.open(path))
        right += (
            hand is not None
            and LETTERS[model.predict_proba(hand.as_left()[None]).argmax()] == letter
        )
    assert right >= 20


def test_every_sample_of_the_page_is_read_right():
    model = OnnxModel(streamlit_app.HANDS)
    assert (
        "".join(model.letters[label] for label in model.predict_proba(SAMPLES).argmax(1)) == LETTERS
    )


@pytest.mark.usefixtures("fake_finder")
def test_a_folder_of_photographs_becomes_a_table_and_what_has_no_hand_is_listed(
    folder: Path, tmp_path: Path, capsys
):
    (folder / "x" / "notes").mkdir(parents=True)
    (folder / "x" / "notes" / "1.txt").write_text("text")
    landmarks.main([str(folder), str(tmp_path / "mine.csv.gz")])
    said = capsys.readouterr().out
    assert "night_2.png: no hand found" in said
    assert "1.txt is not a picture" in said
    assert "12 pictures, a hand in 11" in said
    table = read_landmarks(tmp_path / "mine.csv.gz")
    assert table["letter"].tolist() == list("AAAABBBBCCCC")
    assert table["person"].tolist() == 3 * ["day", "day", "night", "night"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no picture that can be read"):
        measure_folder(tmp_path / "empty")


@pytest.mark.usefixtures("fake_finder")
def test_own_pictures_are_split_by_series_trained_on_from_a_run_and_read(
    folder: Path, command_line, capsys
):
    base = [
        "experiment=hands",
        "data.epoch_rows=2048",
        "trainer.max_epochs=1",
        "logger=none",
        "name=base",
    ]
    assert command_line(*base) == 0
    mine = [
        "experiment=my_hand",
        f"data.root={folder}",
        "init_from=outputs/runs/base",
        "logger=none",
        "name=mine",
    ]
    assert command_line(*mine, "data.val_split=person", "data.folds=2") == 0
    assert Result.load(Path("outputs/runs/mine/result.json")).val_acc == 1
    split = load_dataset(DataConfig(name="folder", root=str(folder))).train
    assert len(split.labels) == 11
    assert sorted(np.bincount(split.groups["person"])) == [5, 6]
    capsys.readouterr()
    evaluate.main(["outputs/runs/mine", "--images", str(folder), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert (report["rows"], report["found"], report["right"]) == (12, 11, 11)
    with pytest.raises(SystemExit) as stop:
        predict.main(["outputs/runs/mine", *map(str, sorted(folder.glob("*/night*"))), "--json"])
    assert stop.value.code == 1
    answer = json.loads(capsys.readouterr().out)
    assert answer["word"] == "ABBCC"
    assert answer["problems"] == [f"night_2.png: {predict.NO_HAND}"]
    said = command_line(*mine[:-1], "name=other", "data.val_split=person", "data.folds=3")
    assert "data.val_split=person allows at most 2" in said
    scores = pd.DataFrame(SAMPLES.reshape(24, 63), columns=COORDINATES).assign(
        letter=list(LETTERS), hand="left", found=1
    )
    scores.assign(source="samples").to_csv("samples.csv", index=False)
    export.main(["outputs/runs/mine", "--landmarks", "samples.csv"])
    model = OnnxModel(Path("outputs/runs/mine/model.onnx"))
    assert model.card["strangers"][0]["rows"] == 24
    assert "there is no folder" in command_line("data=folder", f"data.root={folder / 'none'}")


def test_a_network_is_taught_other_signs_and_the_file_stays_one():
    content = streamlit_app.HANDS.read_bytes()
    points, labels = SAMPLES[:3], np.array([1, 2, 0])  # A is a B here, B a C, C an A
    taught = teach(content, points, labels)
    assert len(taught) == len(content)
    model = OnnxModel(taught)
    assert model.predict_proba(vary(points, np.random.default_rng(5))).argmax(1).tolist() == [
        1,
        2,
        0,
    ]
    assert (model.predict_proba(SAMPLES).argmax(1) == np.arange(24)).sum() >= 18, (
        "most of the other 21 stay"
    )
    again = OnnxModel(teach(taught, points, np.arange(3)))
    assert again.predict_proba(points).argmax(1).tolist() == [0, 1, 2]


@pytest.mark.usefixtures("fake_finder")
def test_a_network_of_images_reads_the_hand_that_is_cut_out(tmp_path: Path):
    seen = predict.prepare_input(Image.new("L", (300, 300), 5), "x", 28, FakeFinder(), {})
    assert seen.shape == (28, 28)
    assert (seen == 5).all()
    with pytest.raises(DataError, match=r"x: no hand found"):
        predict.prepare_input(Image.new("L", (30, 30), 0), "x", 28, FakeFinder(), {})
