"""`python -m sign_cnn.evaluate` from end to end on runs that nobody trained."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from fake_runs import make_predictions, write_run
from PIL import Image

from sign_cnn import evaluate
from sign_cnn.config import DataConfig
from sign_cnn.data.datamodule import split_rows
from sign_cnn.data.dataset import SignDataset, load_dataset
from sign_cnn.letters import raw_label

LETTERS = "ABK"
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataConfig:
    """8x8 pixels of noise: 6 photos of each of 3 letters in 2 variants, in both CSVs."""
    monkeypatch.delenv("SIGN_MNIST_DIR", raising=False)
    generator = np.random.default_rng(0)
    (tmp_path / "csvs").mkdir()
    for half in ("train", "test"):
        photos = generator.integers(0, 250, (18, 64)).repeat(2, axis=0)
        photos[1::2] += 2
        table = pd.DataFrame(photos, columns=[f"pixel{i}" for i in range(1, 65)])
        table.insert(0, "label", np.repeat([raw_label(letter) for letter in LETTERS], 12))
        table.to_csv(tmp_path / "csvs" / f"sign_mnist_{half}.csv", index=False)
    root, cache = str(tmp_path / "csvs"), str(tmp_path / "cache")
    return DataConfig(root=root, cache_dir=cache, letters=LETTERS, image_size=8, folds=3)


@pytest.fixture
def dataset(data: DataConfig) -> SignDataset:
    return load_dataset(data)


@pytest.fixture
def run(tmp_path: Path, data: DataConfig, dataset: SignDataset) -> Path:
    """Test rows are stored, one of them wrong; validation rows are not."""
    labels, photos = dataset.test.labels.tolist(), dataset.test.photos.tolist()
    stored = make_predictions(labels, [1, *labels[1:]], photos, num_classes=3)
    return write_run(
        tmp_path / "run",
        stored,
        config={"data": vars(data) | {"synthetic": {}}},
        data_fingerprint=dataset.fingerprint,
        experiment="article_tuned",
    )


@pytest.fixture
def checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """A classifier whose logits are the first three pixels, by way of a convolution."""
    monkeypatch.setattr("sign_cnn.models.classifier.SignClassifier.load", lambda _: FirstPixels())


class FirstPixels(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 1, 1, bias=False)
        torch.nn.init.ones_(self.conv.weight)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.conv(images[:, None])[:, 0, 0, :3]

    def predict_logits(self, images: np.ndarray) -> np.ndarray:
        return self(torch.from_numpy(images).float()).detach().numpy()


def read_report(path: Path) -> dict[str, Any]:
    return json.loads((path / "report.json").read_text())


def test_a_run_is_reported_with_all_files(run: Path, dataset: SignDataset, capsys: Capture):
    evaluate.main([str(run)])
    output, folder = capsys.readouterr().out, run / "evaluation" / "test"
    assert {path.name for path in folder.iterdir()} == {
        "report.md",
        "report.json",
        "letters.csv",
        "confusion.png",
        "reliability.png",
        "hardest.png",
        "confused.png",
    }
    report = read_report(folder)
    assert (report["rows"], report["errors"], report["photos"], report["photos_with_error"]) == (
        36,
        1,
        18,
        1,
    )
    assert (report["experiment"], report["data_fingerprint"]) == (
        "article_tuned",
        dataset.fingerprint,
    )
    assert report["confusion"] == [[11, 1, 0], [0, 12, 0], [0, 0, 12]]
    assert [letter["letter"] for letter in report["letters"]] == ["A", "B", "K"]
    assert [(pair["letter"], pair["predicted"], pair["rows"]) for pair in report["confused"]] == [
        ("A", "B", 1)
    ]
    assert pd.read_csv(folder / "letters.csv")["recall"].tolist() == pytest.approx([11 / 12, 1, 1])
    assert "test rows: logits stored in predictions.npz" in output
    assert "attention.png is left out: " in output  # this run has no checkpoint
    assert f"written to {folder}" in output
    page = (folder / "report.md").read_text()
    assert all(
        text in page
        for text in ("![hardest](hardest.png)", "| rows right", f": {dataset.fingerprint}")
    )


@pytest.mark.parametrize("split", ["val", "test"])
def test_what_was_not_stored_is_computed(
    run: Path, split: str, data: DataConfig, checkpoint: None, capsys: Capture
):
    (run / "predictions.npz").unlink()
    predictions, note = evaluate.load_predictions(evaluate.load_run(run), split)
    dataset = load_dataset(data)
    rows = dataset.test if split == "test" else dataset.train
    expected = np.arange(36) if split == "test" else split_rows(dataset.train, data).val
    assert predictions.row.tolist() == expected.tolist()
    assert predictions.label.tolist() == rows.labels[expected].tolist()
    assert predictions.photo.tolist() == rows.photos[expected].tolist()
    assert predictions.logits.tolist() == rows.images[expected, 0, :3].tolist()
    assert note == f"{split} rows: logits computed with best.ckpt"
    evaluate.main([str(run), "--split", split, "--json"])
    assert json.loads(capsys.readouterr().out) == read_report(run / "evaluation" / split)
    assert (run / "evaluation" / split / "attention.png").exists()


def test_attention_is_where_the_answer_comes_from(
    run: Path, dataset: SignDataset, checkpoint: None
):
    images = dataset.test.images
    heat = evaluate.attend(evaluate.load_run(run), images)
    assert heat.shape == images.shape
    for picture, image in zip(heat, images, strict=True):
        assert np.argwhere(picture).tolist() == [[0, image[0, :3].argmax()]]


def test_data_may_be_gone_or_be_found_through_the_environment(
    run: Path,
    data: DataConfig,
    dataset: SignDataset,
    capsys: Capture,
    monkeypatch: pytest.MonkeyPatch,
):
    moved = Path(data.root).rename(Path(data.root).with_name("moved"))
    evaluate.main([str(run)])
    assert "hardest.png is left out: there is no folder" in capsys.readouterr().out
    assert not (run / "evaluation" / "test" / "hardest.png").exists()
    assert "hardest.png)" not in (run / "evaluation" / "test" / "report.md").read_text()
    monkeypatch.setenv("SIGN_MNIST_DIR", str(moved))
    assert np.array_equal(
        evaluate.load_rows(evaluate.load_run(run), "train").images, dataset.train.images
    )


def test_pictures_are_scored_one_photo_each(
    run: Path, dataset: SignDataset, checkpoint: None, capsys: Capture
):
    hands = run.with_name("hands")
    for i, (image, label) in enumerate(zip(dataset.test.images, dataset.test.labels, strict=True)):
        folder = hands / (LETTERS[label] if i % 2 else LETTERS[label].lower())
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{i}.png")
    (hands / "A" / "notes.txt").write_text("no picture")
    shutil.copytree(hands / "B", hands / "J")
    evaluate.main([str(run), "--images", str(hands)])
    report = read_report(run / "evaluation" / "images-hands")
    right = dataset.test.images[:, 0, :3].argmax(axis=1) == dataset.test.labels
    assert (report["rows"], report["photos"], report["acc"]) == (
        36,
        36,
        pytest.approx(right.mean()),
    )
    assert report["hardest"][0]["photo"].endswith(".png")
    assert (run / "evaluation" / "images-hands" / "hardest.png").exists()
    output = capsys.readouterr().out
    assert "notes.txt is not a picture" in output
    assert output.count("'J' is not one of the letters ABK") == 1


def test_two_runs_are_compared_if_they_scored_the_same_rows(
    run: Path, dataset: SignDataset, capsys: Capture
):
    labels, photos = dataset.test.labels.tolist(), dataset.test.photos.tolist()
    wrong = make_predictions(labels, [(label + 1) % 3 for label in labels], photos, num_classes=3)
    paths = [
        str(run),
        str(write_run(run.with_name("wrong"), wrong, data_fingerprint=dataset.fingerprint)),
    ]
    evaluate.main(paths)
    output = capsys.readouterr().out
    assert f"A: {paths[0]}, B: {paths[1]}" in output
    assert "A is better: A − B is +97.22 pp" in output
    evaluate.main([*paths, "--json"])
    report = json.loads(capsys.readouterr().out)
    assert (report["photos_wrong_only_A"], report["photos_wrong_only_B"], report["run_B"]) == (
        0,
        18,
        paths[1],
    )
    assert report["mcnemar_p"] == pytest.approx(2 / 2**18)
    fewer = write_run(
        run.with_name("fewer"), wrong.take(np.arange(2)), data_fingerprint=dataset.fingerprint
    )
    with pytest.raises(
        SystemExit, match=r"^Error: the runs scored different rows \(36 and 2, 2 in both\)"
    ):
        evaluate.main([str(run), str(fewer)])
    with pytest.raises(SystemExit, match=r"^Error: .* were trained on different data"):
        evaluate.main([str(run), str(write_run(run.with_name("other"), wrong))])


def test_errors_are_one_sentence(run: Path, tmp_path: Path, data: DataConfig):
    without_val = write_run(tmp_path / "without", None, config={"data": {"val_split": "none"}})
    other = write_run(tmp_path / "other", None, config={"data": vars(data) | {"synthetic": {}}})
    (tmp_path / "empty" / "B").mkdir(parents=True)
    (tmp_path / "empty" / "B" / "x.png").touch()
    cases = {
        (
            without_val,
            "--split",
            "val",
        ): r"no validation rows \(data.val_split=none\): use --split test",
        (other,): r"the data found .* are not those of .*: point SIGN_MNIST_DIR at those",
        (run, "--split", "val"): r"best\.ckpt does not exist",
        (run, "--images", tmp_path / "no"): "holds no picture that can be read",
        (
            run,
            "--images",
            tmp_path / "empty",
        ): r"holds no picture that can be read.*x\.png is empty",
        (write_run(tmp_path / "failed", None, status="failed"),): "is not done but failed",
        (tmp_path,): r"result\.json does not exist",
    }
    for arguments, message in cases.items():
        with pytest.raises(SystemExit, match=f"^Error: .*{message}"):
            evaluate.main([str(argument) for argument in arguments])
