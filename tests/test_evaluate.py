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
from picture_run import write_picture_run
from stub_network import make_classifier, write_checkpoint

from sign_cnn import evaluate
from sign_cnn.data.base import Rows
from sign_cnn.errors import DataError
from sign_cnn.hands.landmarks import COLUMNS
from sign_cnn.inputs import LandmarkInputs, PictureInputs
from sign_cnn.runs import Run, load_run

FIGURES = {"confusion.png", "hardest.png"}
FLATTEN = {"_target_": "torch.nn.Flatten"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("SIGN_MNIST_DIR", raising=False)
    return load_run(write_picture_run(tmp_path / "run", experiment="colours"))


@pytest.fixture
def test_rows(run: Run) -> Rows:
    return evaluate.load_data(run).test_rows


@pytest.fixture
def hand_run(tmp_path: Path) -> Run:
    """Its logits are 10 times the x of the first three landmarks."""
    layer = {"_target_": "torch.nn.Linear", "in_features": 63, "out_features": 3, "bias": False}
    network = {"_target_": "torch.nn.Sequential", "_args_": [FLATTEN, layer]}
    facts = {"class_names": list("ABC"), "preprocessing": {"_target_": "torch.nn.Identity"}}
    model = make_classifier(network, inputs=LandmarkInputs(), **facts)
    model.network[1].weight.data = 10 * torch.eye(63)[[0, 3, 6]]
    write_checkpoint(tmp_path / "hands" / "checkpoints" / "best.ckpt", model)
    return load_run(write_run(tmp_path / "hands", None, class_names=list("ABC")))


def report_of(run: Run, name: str) -> dict[str, Any]:
    return json.loads((run.path / "evaluation" / name / "report.json").read_text())


def figures_of(run: Run) -> set[str]:
    return {path.name for path in (run.path / "evaluation" / "test").glob("*.png")}


def test_a_run_is_reported_with_all_figures(run: Run, capsys: pytest.CaptureFixture[str]):
    evaluate.main([str(run.path), "--json"])
    report = report_of(run, "test")
    assert json.loads(capsys.readouterr().out) == report
    assert figures_of(run) == FIGURES
    assert (report["rows"], report["errors"], report["experiment"]) == (12, 1, "colours")
    assert report["confusion"] == [[3, 1, 0], [0, 4, 0], [0, 0, 4]]
    table = pd.read_csv(run.path / "evaluation" / "test" / "classes.csv")
    assert table.set_index("class")["recall"].to_dict() == {"Blue": 0.75, "green": 1, "red": 1}


@pytest.mark.parametrize(("split", "count"), [("val", 6), ("test", 12)])
def test_logits_are_computed_unless_they_are_stored(run: Run, split: str, count: int):
    predictions = evaluate.load_predictions(run, split)
    rows, index = evaluate.load_data(run).rows_of(split)
    assert predictions.label.tolist() == rows.labels[index].tolist()
    assert predictions.logits.shape == (count, 3)
    assert np.allclose(predictions.logits * 255, rows.inputs[index].mean((2, 3)), atol=1e-3)
    predictions.save(run.predictions)
    run.best_checkpoint.unlink()
    assert evaluate.load_predictions(run, split).row.tolist() == index.tolist()


def test_data_may_be_gone_or_be_found_through_the_environment(
    run: Run, test_rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    evaluate.load_predictions(run, "test").save(run.predictions)
    moved = (tmp_path / "pictures").rename(tmp_path / "moved")
    evaluate.main([str(run.path)])
    assert figures_of(run) == {"confusion.png"}
    monkeypatch.setenv("SIGN_MNIST_DIR", str(moved))
    assert np.array_equal(evaluate.load_data(run).test_rows.inputs, test_rows.inputs)
    next((moved / "test" / "red").iterdir()).unlink()
    with pytest.raises(DataError, match=str(run.path)):
        evaluate.load_data(run)


def test_a_folder_of_pictures_is_scored(run: Run, tmp_path: Path):
    folder = shutil.copytree(tmp_path / "pictures" / "test", tmp_path / "mine")
    (folder / "Blue").rename(folder / "BLUE")
    (folder / "red" / "notes.txt").write_text("no picture")
    shutil.copytree(folder / "red", folder / "yellow" / "deeper")
    evaluate.main([str(run.path), "--images", str(folder)])
    report = report_of(run, "images-mine")
    assert (report["rows"], report["found"], report["right"]) == (12, 12, 11)
    assert report["hardest"][0]["photo"] == "BLUE/18.png"
    assert [name in " ".join(report["notes"]) for name in ("notes.txt", "yellow")] == [True, True]


def test_pictures_that_the_run_may_have_been_trained_on_are_named(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "pictures" / "train"
    evaluate.main([str(run.path), "--images", str(folder), "--json"])
    assert str(folder.parent) in " ".join(json.loads(capsys.readouterr().out)["notes"])


def test_case_counts_between_classes_that_differ_in_nothing_else():
    model = make_classifier(FLATTEN, inputs=PictureInputs(2, 1), class_names=["Ab", "aB"])
    rows = [(name, "", name, np.zeros((2, 1, 1), np.uint8)) for name in ("aB", "Ab")]
    scored = evaluate.score_examples("x", pd.DataFrame(rows, columns=evaluate.COLUMNS), model)
    assert scored.predictions.label.tolist() == [1, 0]


def test_rows_without_a_hand_are_wrong_and_unsure(hand_run: Run, tmp_path: Path):
    a, b = np.eye(63)[[0, 3]]
    rows = [["x", "", "A", "left", 1, *a], ["x", "", "B", "left", 0, *[None] * 63]]
    rows += [["y", "", letter, "left", 1, *b] for letter in "CJ"]
    pd.DataFrame(rows, columns=COLUMNS).to_csv(tmp_path / "table.csv", index=False)
    evaluate.main([str(hand_run.path), "--landmarks", str(tmp_path / "table.csv")])
    report = report_of(hand_run, "landmarks-table.csv")
    counts = [report[key] for key in ("rows", "found", "right", "sure", "accuracy_if_sure")]
    assert counts == [3, 2, 1, 2, 0.5]
    sources = [(line["source"], line["rows"], line["right"]) for line in report["sources"]]
    assert sources == [("x", 2, 1), ("y", 1, 0)]
    assert report["confusion"][1] == [0, 0, 0, 1]


def test_two_runs_are_compared_if_they_scored_the_same_rows(run: Run, test_rows: Rows, capsys):
    labels, facts = test_rows.labels, {"data_fingerprint": run.result.data_fingerprint}
    wrong = make_predictions(labels, (labels + 1) % 3, test_rows.photos, num_classes=3)
    paths = [str(run.path), str(write_run(run.path.with_name("wrong"), wrong, **facts))]
    evaluate.main([*paths, "--json"])
    report = json.loads(capsys.readouterr().out)
    assert [report["run_A"], report["run_B"]] == paths
    assert report["photos_wrong_only_B"] - report["photos_wrong_only_A"] == 11
    fewer = write_run(run.path.with_name("fewer"), wrong.take(np.arange(2)), **facts)
    with pytest.raises(SystemExit, match=r"^Error: "):
        evaluate.main([paths[0], str(fewer)])


def test_what_cannot_be_reported_is_refused_with_its_name(run: Run, hand_run: Run, tmp_path: Path):
    (tmp_path / "empty" / "red").mkdir(parents=True)
    (tmp_path / "empty" / "red" / "x.png").touch()
    pd.DataFrame(columns=COLUMNS).to_csv(tmp_path / "none.csv")
    table = pd.DataFrame([["x", "", "red", "left", 1, *np.ones(63)]], columns=COLUMNS)
    table.to_csv(tmp_path / "table.csv")
    config = run.path / "config.yaml"
    config.write_text(config.read_text().replace("val_split: photo", "val_split: none"))
    cases = {
        (run.path, "--split", "val"): "no val rows",
        (run.path, "--images", tmp_path / "no"): "images-no",
        (run.path, "--images", tmp_path / "empty"): "x.png",
        (run.path, "--landmarks", tmp_path / "table.csv"): "table.csv",
        (hand_run.path, "--landmarks", tmp_path / "none.csv"): "none.csv",
    }
    for arguments, name in cases.items():
        with pytest.raises(SystemExit, match=rf"^Error: .*{name}"):
            evaluate.main([str(argument) for argument in arguments])
