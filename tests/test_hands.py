"""From photographs to letters: the finder, and the commands and networks that use it."""

import json
from pathlib import Path

import numpy as np
import pytest
from fake_finder import SAMPLES, FakeFinder
from PIL import Image, ImageOps

from sign_cnn import export, predict
from sign_cnn.app.streamlit_app import HANDS
from sign_cnn.data.synthetic.pictures import make_variants, render_photo
from sign_cnn.errors import DataError, UserError
from sign_cnn.hands import finder as finder_module
from sign_cnn.hands import landmarks
from sign_cnn.hands.augment import NUM_RANDOM_NUMBERS, augment_landmarks
from sign_cnn.hands.finder import HandFinder, find_models
from sign_cnn.hands.fit import fit_last_layer
from sign_cnn.letters import LETTERS
from sign_cnn.predict import OnnxModel
from sign_cnn.runs import Result

OTHER = SAMPLES[:3], np.array([1, 2, 0])  # somebody who signs A as B, B as C, and C as A


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two series of two pictures of each of three letters; one picture shows no hand."""
    FakeFinder.stand_in(monkeypatch)
    for number, letter in enumerate("abc", start=1):
        (tmp_path / "mine" / letter).mkdir(parents=True)
        for name in ("day_1", "day_2", "night_1", "night_2"):
            grey = 0 if (letter, name) == ("a", "night_2") else number
            Image.new("L", (9, 9), grey).save(tmp_path / "mine" / letter / f"{name}.png")
    return tmp_path / "mine"


def test_weights_that_are_missing_unexpected_or_damaged_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def install(command: list[str], check: bool):
        target = next(item for item in command if item.startswith("--target="))
        for name in finder_module.MEMBERS:
            Path(target.removeprefix("--target="), f"{name}.tflite").write_text("other weights")
        return finder_module.subprocess.CompletedProcess(command, 0)

    monkeypatch.setenv(finder_module.MODELS_VARIABLE, str(tmp_path))
    monkeypatch.setattr(finder_module.subprocess, "run", install)
    with pytest.raises(UserError, match=r"python -m sign_cnn\.hands\.finder"):
        find_models()
    with pytest.raises(UserError, match=finder_module.WHEEL):
        find_models(download=True)
    assert not any(tmp_path.iterdir())
    for name in finder_module.MEMBERS:
        (tmp_path / f"{name}.onnx").write_text("torn")
    with pytest.raises(UserError, match=r"palm_detection_full\.onnx"):
        HandFinder()


@pytest.mark.hand_models
def test_synthetic_hands_are_found_and_noise_is_none(finder: HandFinder):
    rng = np.random.default_rng(0)
    picture = make_variants(render_photo("D", rng, rng, rng, 128), 1, rng)[0]
    hand = finder(Image.fromarray(picture))
    assert hand.landmarks[8, 1] < hand.landmarks[0, 1], "the finger is up"
    noise = np.random.default_rng(0).integers(0, 256, (99, 99), dtype=np.uint8)
    assert finder(Image.fromarray(noise)) is None


@pytest.mark.real_data
def test_a_hand_is_found_wherever_it_lies_and_mirrored(finder: HandFinder, hand_photos: Path):
    picture = Image.open(min((hand_photos / "t32" / "B").iterdir()))
    wide = ImageOps.expand(picture, (150, 50, 150, 150), "grey")
    hand, mirrored, moved = map(finder, (picture, ImageOps.mirror(picture), wide))
    assert {hand.hand, mirrored.hand} == {"left", "right"}
    gaps = mirrored.landmarks * [-1, 1, 1] + [picture.width, 0, 0], moved.landmarks - [150, 50, 0]
    for gap in gaps - hand.landmarks:
        assert np.median(np.abs(gap[:, :2])) < 0.06 * np.ptp(hand.landmarks[:, :2], axis=0).max()


@pytest.mark.real_data
def test_photographs_of_strangers_are_read(finder: HandFinder, hand_photos: Path):
    """One picture of each letter, of people who are in no training data."""
    model = OnnxModel(HANDS)
    pictures = [Image.open(min((hand_photos / "set2" / letter).iterdir())) for letter in LETTERS]
    found = predict.predict(model, [model.inputs.read(one, "x", finder) for one in pictures])
    assert sum(map(str.__eq__, LETTERS, (one.label for one in found))) >= 20


def test_a_folder_of_photographs_becomes_a_table_and_what_has_no_hand_is_listed(
    folder: Path, tmp_path: Path, capsys
):
    (folder / "x" / "notes").mkdir(parents=True)
    (folder / "x" / "notes" / "1.txt").write_text("text")
    landmarks.main([str(folder), str(tmp_path / "mine.csv")])
    notes = capsys.readouterr().out
    assert all(name in notes for name in ("night_2.png", "1.txt"))
    table = landmarks.read_landmarks(tmp_path / "mine.csv")
    assert table["letter"].tolist() == list("AAAABBBBCCCC")
    assert table["person"].tolist() == 3 * ["day", "day", "night", "night"]
    assert table["found"].sum() == 11
    with pytest.raises(DataError, match="empty"):
        landmarks.measure_folder(tmp_path / "empty")


def test_own_photographs_are_split_by_series_trained_on_from_a_run_and_read(
    folder: Path, command_line, capsys
):
    base = ["experiment=hands", "data.epoch_rows=2048", "trainer.max_epochs=1", "name=base"]
    assert command_line(*base, "logger=none") == 0
    mine = ["experiment=my_hand", f"data.root={folder}", "init_from=outputs/runs/base"]
    mine += ["logger=none", "data.val_split=person"]
    assert command_line(*mine, "name=mine", "data.folds=2") == 0
    assert Result.load(Path("outputs/runs/mine/result.json")).val_acc == 1
    assert "data.val_split" in command_line(*mine, "name=other", "data.folds=3")
    capsys.readouterr()
    with pytest.raises(SystemExit, match=r"night_2\.png"):
        predict.main(["outputs/runs/mine", *map(str, sorted(folder.glob("*/night*"))), "--json"])
    assert json.loads(capsys.readouterr().out)["word"] == "ABBCC"
    landmarks.main([str(folder), "mine.csv"])
    export.main(["outputs/runs/mine", "--landmarks", "mine.csv"])
    content = Path("outputs/runs/mine/model.onnx").read_bytes()
    assert OnnxModel(content).card["strangers"][0]["rows"] == 12
    taught = OnnxModel(fit_last_layer(content, *OTHER))
    assert taught.predict_proba(OTHER[0]).argmax(1).tolist() == [1, 2, 0]


def random_numbers(count: int) -> np.ndarray:
    return np.random.default_rng(5).random((count, NUM_RANDOM_NUMBERS), np.float32)


def test_the_network_of_the_page_reads_every_sample_and_is_fitted_to_other_signs_and_again():
    model = OnnxModel(HANDS)
    assert model.class_names == list(LETTERS)
    assert predict.spell(predict.predict(model, list(SAMPLES), threshold=0)) == LETTERS
    fitted = fit_last_layer(HANDS.read_bytes(), *OTHER)
    model = OnnxModel(fitted)
    turned = augment_landmarks(OTHER[0], random_numbers(3), rotation=10, tilt=10, jitter=0.02)
    assert model.predict_proba(turned).argmax(1).tolist() == [1, 2, 0]
    others = model.predict_proba(SAMPLES[3:]).argmax(1)
    assert (others == np.arange(3, 24)).sum() >= 18, "most of the other 21 stay"
    again = OnnxModel(fit_last_layer(fitted, OTHER[0], np.arange(3)))
    assert again.predict_proba(OTHER[0]).argmax(1).tolist() == [0, 1, 2]


UNCHANGED = {"depth": [0, 1], "aspect": [1, 2], "rotation": [2], "mirror": [1, 2], "flat": [0, 1]}


@pytest.mark.parametrize(("name", "unchanged"), [*UNCHANGED.items(), ("tilt", []), ("jitter", [])])
def test_each_setting_changes_its_axes_alone(name: str, unchanged: list[int]):
    plain = augment_landmarks(SAMPLES, random_numbers(24))
    moved = 7 * SAMPLES + 100
    assert np.allclose(augment_landmarks(moved, random_numbers(24)), plain, atol=1e-4)
    changed = augment_landmarks(moved, random_numbers(24), **{name: 0.5})
    same = np.isclose(plain, changed, atol=1e-4).all((0, 1))
    assert [axis for axis in range(3) if same[axis]] == unchanged
    palms = np.linalg.norm(plain[:, [5, 9, 13, 17]], axis=2).mean(1)
    assert np.allclose(palms, 1, atol=1e-5)
    assert changed.dtype == np.float32
