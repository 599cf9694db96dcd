import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from fake_runs import fake_run, predictions_of
from hydra import compose, initialize_config_dir
from PIL import Image

from sign_cnn import evaluate
from sign_cnn.config import Config, DataConfig, typed
from sign_cnn.data import source
from sign_cnn.data.dataset import SignDataset
from sign_cnn.errors import DataError, UserError
from sign_cnn.images.image_folder import read_image_folder
from sign_cnn.letters import LETTERS
from sign_cnn.reports import scoring
from sign_cnn.runs.results import Result
from sign_cnn.runs.run_directory import RunDirectory
from sign_cnn.train import CONFIG_DIR, train


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny_root: Path, tiny_cache: Path) -> Path:
    """A run that learned something; seen by many tests and changed by none."""
    directory = tmp_path_factory.mktemp("trained") / "run"
    with initialize_config_dir(CONFIG_DIR, job_name="test"):
        cfg = compose("train", [
            f"data.root={tiny_root}", f"data.cache_dir={tiny_cache}", "data.folds=4", "data.batch_size=32", "name=run",
            "model.width=4", "model.depth=2", "model.kernel_size=3", "model.dense_units=[16]", "optimizer.lr=0.01",
            "trainer.max_epochs=2", "figures=false", "logger=none",
        ])  # fmt: skip
        train(typed(cfg), directory)
    return directory


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def dataset(trained: Path) -> SignDataset:
    return scoring.load_data(scoring.open_run(trained))


@pytest.fixture
def pictures(dataset: SignDataset, tmp_path: Path) -> Path:
    """The tiny test set as PNG files, some folders in lower case."""
    folder = tmp_path / "hands"
    for i, (image, label) in enumerate(zip(dataset.test_images, dataset.test_labels, strict=True)):
        letter = LETTERS[label] if label % 2 else LETTERS[label].lower()
        (folder / letter).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / letter / f"{i}.png")
    return folder


def report(path: Path) -> dict:
    return json.loads((path / "report.json").read_text())


def test_a_trained_run_is_reported_with_all_files_and_the_numbers_of_its_result(copied: Path, capsys):
    evaluate.main([str(copied)])
    output = capsys.readouterr().out
    directory = copied / "evaluation" / "test"
    assert {path.name for path in directory.iterdir()} == {
        "report.md", "report.json", "confusion.png", "reliability.png", "hardest.png",
    }  # fmt: skip
    result, stored = Result.read(copied / "result.json"), report(directory)
    assert stored["accuracy"] == result.test_acc
    assert stored["loss"] == pytest.approx(result.test_loss, abs=1e-3)
    assert stored["photographs_wrong"] == result.test_originals_wrong
    assert stored["photographs_with_error"] == result.test_originals_with_error
    assert stored["accuracy_ci95"] == result.test_acc_ci95
    assert "test rows: logits stored with the run" in output
    assert max(len(line) for line in output.splitlines() if str(copied) not in line) <= 80
    page = (directory / "report.md").read_text()
    assert "![Hardest photographs](hardest.png)" in page
    assert page.count("\n| Y |") == 1


@pytest.mark.parametrize("split", ["val", "test"])
def test_what_was_not_stored_is_computed_to_the_same(copied: Path, split: str):
    run = scoring.open_run(copied)
    stored, is_stored = scoring.predictions(run, split)
    run.predictions.unlink()
    computed, is_still_stored = scoring.predictions(run, split)
    assert (is_stored, is_still_stored) == (True, False)
    for name in ("row", "photograph", "label", "split"):
        assert np.array_equal(getattr(stored, name), getattr(computed, name)), name
    below_the_largest = computed.logits - computed.logits.max(1, keepdims=True)
    assert np.allclose(stored.logits, below_the_largest, atol=0.02)
    assert any("computed now with checkpoints/best.ckpt" in note for note in evaluate.evaluate_split(run, split).notes)


def test_a_folder_of_pictures_is_scored_as_the_rows_they_are(copied: Path, pictures: Path, capsys):
    (pictures / "A" / "notes.txt").parent.mkdir(exist_ok=True)
    (pictures / "A" / "notes.txt").write_text("no picture")
    (pictures / "J").mkdir()
    evaluate.main([str(copied), "--images", str(pictures)])
    stored, result = report(copied / "evaluation" / "images-hands"), Result.read(copied / "result.json")
    assert stored["accuracy"] == pytest.approx(result.test_acc)
    assert stored["photographs"] == stored["rows"]
    assert stored["hardest"][0]["name"].endswith(".png")
    assert len(stored["notes"]) == 2
    output = capsys.readouterr().out
    assert "notes.txt is not a picture" in output
    assert f"{pictures / 'J'} is left out" in output
    assert "pictures right" in output
    assert "variants" not in output
    assert (copied / "evaluation" / "images-hands" / "hardest.png").exists()


def test_pictures_of_any_size_and_mode_keep_letter_and_name(tmp_path: Path):
    for letter, mode, size in (("A", "RGB", (640, 480)), ("k", "RGBA", (10, 90)), ("Y", "L", (28, 28))):
        (tmp_path / letter).mkdir()
        Image.new(mode, size).save(tmp_path / letter / "x.png")
    (tmp_path / "A" / ".hidden").touch()
    found = read_image_folder(tmp_path)
    assert found.images.shape == (3, 28, 28)
    assert [LETTERS[label] for label in found.labels] == ["A", "Y", "K"]
    assert found.names == ["A/x.png", "Y/x.png", "k/x.png"]
    assert found.problems == []


def test_a_folder_without_letters_or_without_pictures_is_one_sentence(tmp_path: Path):
    with pytest.raises(DataError, match="is not a folder"):
        read_image_folder(tmp_path / "no")
    (tmp_path / "AB").mkdir()
    with pytest.raises(DataError, match="no sub-folder named after a letter"):
        read_image_folder(tmp_path)
    (tmp_path / "B").mkdir()
    (tmp_path / "B" / "x.png").touch()
    with pytest.raises(DataError, match=r"holds no picture that can be read: .*x\.png is empty"):
        read_image_folder(tmp_path)


def test_json_is_all_that_is_printed_when_asked_for(copied: Path, capsys):
    evaluate.main([str(copied), "--split", "val", "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed == report(copied / "evaluation" / "val")
    assert printed["scored"] == "val"


def test_stored_logits_are_reported_without_the_data(tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SIGN_MNIST_DIR", raising=False)
    data = DataConfig(root=str(tmp_path / "gone"), cache_dir=str(tmp_path / "cache"))
    run = fake_run(tmp_path / "run", predictions_of([0, 0, 1], [0, 2, 1], [0, 0, 1]), Config(data=data))
    evaluate.main([str(run)])
    assert "hardest.png is left out: " in capsys.readouterr().out
    assert not (run / "evaluation" / "test" / "hardest.png").exists()
    assert report(run / "evaluation" / "test")["errors"] == 1


def moved(copied: Path, tmp_path: Path) -> RunDirectory:
    """A run whose configuration names folders that are no more."""
    text = (copied / "config.yaml").read_text().splitlines()
    folders = {"  root:": tmp_path / "gone", "  cache_dir:": tmp_path / "new_cache"}
    for key, folder in folders.items():
        text = [f"{key} {folder}" if line.startswith(key) else line for line in text]
    (copied / "config.yaml").write_text("\n".join(text))
    return scoring.open_run(copied)


def test_data_that_moved_are_found_through_the_environment(
    copied: Path, tmp_path: Path, tiny_root: Path, dataset: SignDataset, monkeypatch: pytest.MonkeyPatch
):
    run = moved(copied, tmp_path)
    monkeypatch.setenv("SIGN_MNIST_DIR", str(tiny_root))
    assert scoring.load_data(run).fingerprint == dataset.fingerprint


def test_other_data_in_the_same_place_are_refused(copied: Path):
    run = scoring.open_run(copied)
    run.result.data_fingerprint = "f" * 64
    with pytest.raises(DataError, match="are not those of"):
        scoring.load_data(run)


def test_photographs_are_those_of_the_data_module(trained: Path, dataset: SignDataset):
    rows, _ = scoring.predictions(scoring.open_run(trained), "test")
    config = scoring.stored_config(trained)
    assert np.array_equal(rows.photograph, source.photographs(dataset, config.data, "test"))


def test_a_run_without_validation_has_no_val_rows(tmp_path: Path):
    run = fake_run(tmp_path / "run", None, Config(data=DataConfig(val_split="none")))
    with pytest.raises(UserError, match="use --split test"):
        evaluate.evaluate_split(scoring.open_run(run), "val")


@pytest.mark.parametrize("damage", ["missing", "torn"])
def test_a_checkpoint_that_is_no_more_is_one_sentence(copied: Path, pictures: Path, damage: str):
    checkpoint = copied / "checkpoints" / "best.ckpt"
    if damage == "missing":
        checkpoint.unlink()
    else:
        checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(SystemExit, match=r"^Error: .*best\.ckpt (does not exist|cannot be read).*"):
        evaluate.main([str(copied), "--images", str(pictures)])


def test_what_is_no_run_is_one_sentence(tmp_path: Path):
    with pytest.raises(SystemExit, match=r"^Error: .* is not a directory"):
        evaluate.main([str(tmp_path / "no")])
    with pytest.raises(SystemExit, match=r"^Error: .*result\.json does not exist"):
        evaluate.main([str(tmp_path)])
    assert list(tmp_path.iterdir()) == []
