"""Windows of moving hands: how they are made, what the network is told of them, and a run."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sign_cnn import export
from sign_cnn.data.motion import MotionDataModule
from sign_cnn.data.synthetic.landmarks import make_table
from sign_cnn.data.synthetic.motion import CLASSES, make_windows
from sign_cnn.errors import DataError
from sign_cnn.inputs import MotionInputs
from sign_cnn.models.motion_conv import MotionConv
from sign_cnn.models.preprocessing import MotionFeatures
from sign_cnn.predict import OnnxModel

APP = Path(export.__file__).parent / "app"
TABLE = make_table(rows=4)
COUNT = 600


@pytest.fixture(scope="module")
def windows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return make_windows(TABLE, COUNT, np.random.default_rng(0))


def test_windows_are_the_same_from_the_same_random_numbers(windows):
    again = make_windows(TABLE, COUNT, np.random.default_rng(0))
    assert all(np.array_equal(a, b) for a, b in zip(windows, again, strict=True))
    other = make_windows(TABLE, COUNT, np.random.default_rng(1))
    assert not np.array_equal(windows[0], other[0])


def test_a_stroke_is_of_a_hand_that_makes_it_and_a_held_hand_hardly_moves(windows):
    inputs, labels, rows = windows
    assert (inputs.shape, inputs.dtype) == ((COUNT, *MotionInputs().shape), np.float32)
    assert np.isfinite(inputs).all()
    assert np.bincount(labels, minlength=4).min() > COUNT / 20
    letters = TABLE["letter"].to_numpy()[rows]
    assert {*letters[labels == 0]} == {"I"}
    assert {*letters[labels == 1]} == {*"DX"}
    way = np.linalg.norm(inputs - inputs[:, :1], axis=3).mean(2).max(1)
    held, others = way[labels == 2], way[labels != 2]
    assert np.quantile(held, 0.9) < np.quantile(others, 0.1)


def test_a_j_goes_down_and_turns_and_a_z_comes_back(windows):
    inputs, labels, _ = windows
    little, index = inputs[labels == 0][:, :, 20], inputs[labels == 1][:, :, 8]
    assert np.median(little[:, :, 1].max(1) - little[:, 0, 1]) > 0.5  # palms
    across = inputs[labels == 0][:, :, 5] - inputs[labels == 0][:, :, 17]
    assert np.mean(np.sign(across[:, -1, 0]) != np.sign(across[:, 0, 0])) > 0.3
    steps = np.diff(index[:, ::4, 0], axis=1)
    assert np.mean((steps.max(1) > 0.1) & (steps.min(1) < -0.1)) > 0.8


def test_a_table_without_the_hands_of_a_stroke_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(DataError):
        make_windows(TABLE[TABLE["letter"] != "I"], 10, rng)
    with pytest.raises(DataError):
        make_windows(TABLE.assign(**{f"z{i}": 0.0 for i in range(21)}), 10, rng)


def test_features_know_the_way_but_not_the_place_and_size_of_a_hand(windows):
    inputs, features = torch.from_numpy(windows[0][:20]), MotionFeatures()
    expected = features(inputs)
    assert expected.shape == (20, 48, 24)
    moved = features(7 * inputs + torch.tensor([3.0, -5.0, 1.0]))
    assert torch.allclose(moved, expected, atol=1e-3)
    resting = features(inputs - inputs[:, :, :1])
    assert torch.allclose(resting[:, :36], expected[:, :36], atol=1e-3)
    assert not torch.allclose(resting[:, 36:], expected[:, 36:], atol=0.1)


@pytest.mark.parametrize(("depth", "params"), [(1, 24_516), (3, 37_044), (4, 45_036)])
def test_the_network_has_as_many_parameters_as_stated(depth: int, params: int):
    network = MotionConv(4, depth=depth)
    assert sum(p.numel() for p in network.parameters()) == params
    assert network(torch.zeros(2, 48, 24)).shape == (2, 4)


@pytest.fixture
def make_module(tmp_path: Path):
    table = make_table(rows=2).assign(person=lambda table: np.arange(len(table)) % 3)
    table.astype({"person": str}).to_csv(tmp_path / "table.csv", index=False)
    sizes = {"train_windows": 150, "test_windows": 20, "cache_dir": str(tmp_path / "cache")}

    def make(**settings: Any) -> MotionDataModule:
        module = MotionDataModule(root=str(tmp_path / "table.csv"), **sizes | settings)
        module.setup()
        return module

    return make


def test_windows_are_made_once_and_a_person_is_on_one_side_of_a_split(make_module, tmp_path):
    module = make_module(val_split="person", folds=3)
    people = module.train_rows.groups["person"]
    assert set(people[module.split.val]) == {0}
    assert set(people[module.split.train]) == {1, 2}
    assert len(module.test_rows.labels) == 20
    again = make_module(val_split="none")
    assert np.array_equal(again.train_rows.inputs, module.train_rows.inputs)
    assert len(list((tmp_path / "cache").glob("*.npz"))) == 1
    assert make_module(motion_seed=1, val_split="none").identity != module.identity


def test_a_run_is_trained_scored_and_exported(command_line, capsys):
    sizes = ["data.train_windows=300", "data.test_windows=40", "trainer.max_epochs=1"]
    assert command_line("experiment=motion", *sizes, "figures=false", "name=m") == 0
    export.main(["outputs/runs/m"])
    model = OnnxModel(Path("outputs/runs/m/model.onnx").read_bytes())
    assert (model.class_names, model.inputs) == (CLASSES, MotionInputs())


def test_the_packages_network_tells_strokes_from_held_letters(windows):
    model = OnnxModel((APP / "motion.onnx").read_bytes())
    assert model.class_names == CLASSES
    inputs, labels, _ = windows
    right = model.predict_proba(inputs).argmax(1) == labels
    assert [right[labels == number].mean() > 0.85 for number in range(4)] == [True] * 4
    still = np.load(APP / "samples.npy")[:, None].repeat(24, axis=1)
    assert set(model.predict_proba(still).argmax(1)) == {2}
