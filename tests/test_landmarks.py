"""Tables of landmarks as data; finding hands and changing landmarks are in test_hands.py."""

import json
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from fake_finder import FakeFinder
from hydra import compose, initialize_config_dir
from PIL import Image

from sign_cnn import evaluate
from sign_cnn.config import CONFIG_DIR
from sign_cnn.data import landmarks
from sign_cnn.data.landmarks import HandPhotosDataModule, LandmarkDataModule
from sign_cnn.errors import ConfigError, DataError
from sign_cnn.hands.landmarks import COORDINATES, read_landmarks, to_landmarks

SOURCES, CLASSES = ("x", "y", "z"), "ABC"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Write three sources of 16, 8 and 8 rows a letter, two of each without a hand.

    Each row is a noisy copy of one hand per letter.
    """
    rng, rows = np.random.default_rng(0), []
    shapes = rng.normal(size=(3, 63))
    for source, count in zip(SOURCES, (16, 8, 8), strict=True):
        for letter, shape in zip(CLASSES, shapes, strict=True):
            for number in range(count):
                hand = shape + rng.normal(0, 0.02, 63) if number > 1 else np.full(63, np.nan)
                rows.append([source, f"p{number % 2}", letter, "left", int(number > 1), *hand])
    columns = ["source", "person", "letter", "hand", "found", *COORDINATES]
    path = tmp_path / "table.csv"
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    return path


@pytest.fixture
def make_module(table: Path):
    def make(**settings: Any) -> LandmarkDataModule:
        default = {"root": str(table), "letters": CLASSES, "folds": 3}
        module = LandmarkDataModule(**default | settings)
        module.setup()
        return module

    return make


def test_a_run_on_landmarks_is_trained_and_scored_with_missed_hands_counted_as_wrong(
    table: Path, command_line, capsys
):
    overrides = [f"data.root={table}", f"data.letters={CLASSES}", "data.epoch_rows=512"]
    assert command_line("experiment=hands", *overrides, "trainer.max_epochs=2", "name=h") == 0
    capsys.readouterr()
    evaluate.main(["outputs/runs/h", "--landmarks", str(table), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert (report["rows"], report["found"]) == (96, 78)
    assert report["acc"] == report["right"] / 96 <= 78 / 96
    assert [source["source"] for source in report["sources"]] == list(SOURCES)
    with pytest.raises(SystemExit, match="--split"):  # it has no test rows
        evaluate.main(["outputs/runs/h"])


def test_fold_k_leaves_out_the_kth_source_and_rows_without_a_hand_are_not_trained_on(make_module):
    for fold, size in enumerate((42, 18, 18)):
        module = make_module(fold=fold)
        sources = module.train_rows.groups["source"]
        assert len(sources) == 78
        assert set(sources[module.split.val]) == {fold}
        assert len(module.split.val) == size
    assert len(module.test_rows.labels) == 0
    assert module.predict_dataloader().dataset.inputs.shape == (78, 21, 3)


@pytest.mark.parametrize(("balance", "groups"), [("source", 2), ("person", 4)])
def test_balance_takes_each_letter_of_each_group_equally_often(make_module, balance, groups):
    module = make_module(balance=balance)  # the first source, with more rows, is left out
    rows, weights = module.train_rows.take(module.split.train), module.sampling_weights()
    for kind in ("source", "person"):
        totals = np.bincount(rows.groups[kind], weights)
        present = np.unique(rows.groups[kind])
        assert totals[present] == pytest.approx([3 * groups / len(present)] * len(present))
    assert np.bincount(rows.labels, weights) == pytest.approx([groups] * 3)
    assert make_module().sampling_weights() is None


@pytest.mark.parametrize("balance", ["source", "person"])
def test_a_person_with_more_rows_is_not_drawn_more_often_unless_the_source_is_meant(
    make_module, table: Path, balance
):
    rows = pd.read_csv(table)
    rows[~((rows["person"] == "p1") & (rows.index % 8 > 3))].to_csv(table, index=False)
    module = make_module(balance=balance, val_split="none")
    totals = np.bincount(module.train_rows.groups["person"], module.sampling_weights())
    assert (totals == pytest.approx([3] * 6)) == (balance == "person")


def test_rows_without_a_person_count_as_one_person_of_their_source(make_module, table: Path):
    rows = pd.read_csv(table, dtype={"person": str})
    rows.assign(person=rows["person"].where(rows["source"] != "y")).to_csv(table, index=False)
    people = ["x p0", "x p1", "y", "z p0", "z p1"]
    modules = [make_module(val_split="person", folds=5, fold=fold) for fold in range(5)]
    assert [module.left_out for module in modules] == people
    assert sum(len(module.split.val) for module in modules) == 78
    assert make_module(val_split="person", folds=2).left_out is None
    assert make_module(val_split="random").left_out is None


@pytest.mark.parametrize(
    ("study", "left_out"),
    [
        ("source", {"aslhg", "black", "boris", "digits", "set2", "synthetic", "t32"}),
        ("person", {f"aslhg P{k}" for k in range(1, 11)} | {f"set2 hand{k}" for k in range(1, 6)}),
    ],
)
def test_each_source_and_each_known_person_of_the_package_is_left_out_by_its_study(study, left_out):
    with initialize_config_dir(CONFIG_DIR, job_name="test"):
        config = compose("train", [f"sweep=leave_one_{study}_out"], return_hydra_config=True)
    folds = str(config.hydra.sweeper.params["data.fold"]).split(",")
    settings = {"val_split": config.data.val_split, "folds": config.data.folds}
    found = []
    for fold in map(int, folds):
        module = LandmarkDataModule(**settings, fold=fold)
        module.setup()
        found.append(module.left_out)
    assert len(found) == len(left_out)
    assert set(found) == left_out


@pytest.mark.parametrize(
    ("settings", "error", "named"),
    [
        ({"val_split": "session"}, ConfigError, "session"),
        ({"letters": "AX"}, DataError, "classes"),
        ({"root": "gone.csv"}, DataError, "gone.csv"),
    ],
)
def test_settings_that_do_not_fit_the_table_are_refused(make_module, settings, error, named):
    with pytest.raises(error, match=named):
        make_module(**settings)


def test_a_right_hand_is_mirrored_onto_a_left_one(table: Path):
    rows = read_landmarks(table).query("found == 1")
    left, right = to_landmarks(rows), to_landmarks(rows.assign(hand="right"))
    assert np.array_equal(left * [-1, 1, 1], right)


@pytest.mark.parametrize("changes", [{"letter": None}, {"found": 1}, {"y3": "far"}], ids=str)
def test_a_table_that_is_not_one_is_refused(changes: dict[str, Any], table: Path):
    wrong = pd.read_csv(table).assign(**changes)
    wrong.dropna(axis=1, how="all").to_csv(table, index=False)
    with pytest.raises(DataError, match=str(table)):
        read_landmarks(table)


def test_photographs_are_measured_once_and_again_when_one_is_added(tmp_path, monkeypatch):
    FakeFinder.stand_in(monkeypatch)
    measure = Mock(wraps=landmarks.measure_folder)
    monkeypatch.setattr(landmarks, "measure_folder", measure)
    settings = {"cache_dir": str(tmp_path / "cache"), "root": str(tmp_path / "mine")}

    def read() -> HandPhotosDataModule:
        module = HandPhotosDataModule(**settings, val_split="none")
        module.setup()
        return module

    for number, letter in enumerate("AB", start=1):
        (tmp_path / "mine" / letter).mkdir(parents=True)
        Image.new("L", (9, 9), number).save(tmp_path / "mine" / letter / "1.png")
    first, again = read(), read()
    assert (again.identity, again.identity.kind) == (first.identity, "hand_photos")
    assert np.array_equal(first.train_rows.inputs, again.train_rows.inputs)
    Image.new("L", (9, 9), 2).save(tmp_path / "mine" / "B" / "2.png")
    changed = read()
    assert changed.train_rows.labels.tolist() == [0, 1, 1]
    assert changed.identity.fingerprint != first.identity.fingerprint
    assert measure.call_count == 2
