import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from scripts import drawn_landmarks
from sign_cnn import evaluate
from sign_cnn.config import DataConfig, PointAugmentConfig
from sign_cnn.data.datamodule import TrainSampler, split_rows
from sign_cnn.data.dataset import load_dataset
from sign_cnn.errors import ConfigError, DataError
from sign_cnn.hands.augment import PointAugment
from sign_cnn.hands.landmarks import COORDINATES, LANDMARKS, read_landmarks, to_points
from sign_cnn.models.landmark_mlp import LandmarkMLP, describe_hand
from sign_cnn.runs import Result
from sign_cnn.train import train

LETTERS, SOURCES = "ABC", ("x", "y", "z")


def hands(count: int) -> torch.Tensor:
    return torch.randn(count, 21, 3, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Three sources of 16, 8 and 8 rows a letter, each a noisy copy of one hand; two rows of each without a hand."""
    rng, rows = np.random.default_rng(0), []
    shapes = rng.normal(size=(3, 63))
    for source, count in zip(SOURCES, (16, 8, 8), strict=True):
        for letter, shape in zip(LETTERS, shapes, strict=True):
            for number in range(count):
                points = shape + rng.normal(0, 0.02, 63) if number > 1 else np.full(63, np.nan)
                rows.append([source, f"p{number % 2}", letter, "left", int(number > 1), *points])
    path = tmp_path / "table.csv"
    pd.DataFrame(
        rows, columns=["source", "person", "letter", "hand", "found", *COORDINATES]
    ).to_csv(path, index=False)
    return path


@pytest.fixture
def data(table: Path) -> DataConfig:
    return DataConfig(
        name="landmarks", root=str(table), letters=LETTERS, val_split="source", folds=3
    )


def test_a_run_on_landmarks_is_trained_and_scored_with_missed_hands_counted_as_wrong(
    table, command_line, capsys
):
    overrides = [
        f"data.root={table}",
        f"data.letters={LETTERS}",
        "data.epoch_rows=512",
        "trainer.max_epochs=2",
    ]
    assert command_line("experiment=hands", *overrides, "name=h", "logger=none") == 0
    capsys.readouterr()
    evaluate.main(["outputs/runs/h", "--landmarks", str(table), "--json"])
    report = json.loads(capsys.readouterr().out)
    assert (report["rows"], report["found"]) == (96, 78)
    assert report["accuracy"] == report["right"] / 96
    assert report["right"] == 78
    assert [source["source"] for source in report["sources"]] == list(SOURCES)
    with pytest.raises(SystemExit, match="has no test rows: use --split val, or --landmarks CSV"):
        evaluate.main(["outputs/runs/h"])


def test_the_study_of_sources_leaves_out_one_a_fold(table, command_line):
    overrides = [
        f"data.root={table}",
        f"data.letters={LETTERS}",
        "data.epoch_rows=64",
        "trainer.max_epochs=1",
    ]
    overrides += ["data.folds=3", "data.fold=0,1,2"]
    assert (
        command_line("-m", "sweep=leave_one_source_out", *overrides, "seed=0", "logger=none") == 0
    )
    results = [Result.load(path) for path in sorted(Path("outputs/sweeps").glob("*/*/result.json"))]
    assert [(result.status, result.fold, result.val_photos) for result in results] == [
        ("done", 0, 42),
        ("done", 1, 18),
        ("done", 2, 18),
    ]
    assert "Out-of-fold scores" in Path("outputs/sweeps/leave_one_source_out/pooled.md").read_text()


def test_the_checkpoint_of_a_picture_run_is_not_asked_for_landmarks(make_config, table, tmp_path):
    train(make_config("trainer.max_epochs=1"))
    with pytest.raises(
        SystemExit, match="reads pictures, not landmarks: name a run of experiment=hands"
    ):
        evaluate.main([str(tmp_path / "run"), "--landmarks", str(table)])


def test_fold_k_leaves_out_the_kth_source_and_rows_without_a_hand_are_not_trained_on(data):
    rows = load_dataset(data).train
    assert len(rows.labels) == 78
    for fold, size in enumerate((42, 18, 18)):
        split = split_rows(rows, DataConfig(**{**vars(data), "fold": fold}))
        assert set(rows.groups["source"][split.val]) == {fold}
        assert len(split.val) == size
    with pytest.raises(
        ConfigError,
        match=r"data.val_split=session is not known of these data: choose one of .*person",
    ):
        split_rows(rows, DataConfig(**{**vars(data), "val_split": "session"}))


def test_weighted_rows_are_drawn_by_weight_in_the_same_order_on_every_start():
    weights = torch.tensor([0.5, 0.5] + [0.125] * 8)
    make = lambda: TrainSampler(
        torch.arange(10), 500, seed=3, num_draws=4, epoch_rows=1000, weights=weights
    )  # noqa: E731
    drawn = torch.cat([batch.rows for batch in make()])
    assert len(drawn) == 1000
    assert (drawn < 2).float().mean() == pytest.approx(0.5, abs=0.06)
    assert torch.equal(drawn, torch.cat([batch.rows for batch in make()]))
    draws = torch.cat([batch.draws for batch in make() if batch.draws is not None])
    assert len(draws.unique(dim=0)) == 1000, "a row that is drawn twice is changed in two ways"


def test_the_package_has_its_own_table_of_every_letter_and_its_drawn_rows_are_those_of_the_script():
    table = read_landmarks(LANDMARKS)
    assert set(table["source"]) == {"black", "boris", "drawn", "t32"}
    assert set(table["letter"]) == set("ABCDEFGHIKLMNOPQRSTUVWXY")
    poses = OmegaConf.to_container(
        OmegaConf.load(Path(drawn_landmarks.__file__).with_name("hand_poses.yaml"))
    )
    drawn, rows = drawn_landmarks.draw_table(poses), table[table["source"] == "drawn"]
    assert np.allclose(to_points(drawn), to_points(rows), atol=1e-3)
    assert drawn["letter"].tolist() == rows["letter"].tolist()


def test_a_right_hand_is_mirrored_onto_a_left_one(table):
    rows = read_landmarks(table).query("found == 1")
    left, right = to_points(rows), to_points(rows.assign(hand="right"))
    assert np.array_equal(left * [-1, 1, 1], right)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="x7"), "lacks the columns x7"),
        (lambda t: t.assign(found=1), "found=1 that lack numbers"),
        (lambda t: t.assign(y3="far"), "cannot be read as a table of landmarks"),
    ],
)
def test_a_table_that_is_not_one_is_refused(change, words, table):
    change(pd.read_csv(table)).to_csv(table, index=False)
    with pytest.raises(DataError, match=words):
        read_landmarks(table)


def test_moving_and_scaling_a_hand_changes_no_feature_and_turning_it_does():
    points = hands(5)
    assert torch.allclose(describe_hand(points), describe_hand(3 * points + 7), atol=1e-4)
    assert not torch.allclose(
        describe_hand(points), describe_hand(points[:, :, [1, 0, 2]]), atol=0.1
    )


def test_members_are_separate_networks_whose_logits_are_averaged():
    torch.manual_seed(0)
    network, points = LandmarkMLP(num_classes=3, width=8, members=2).eval(), hands(6)
    before = network(points)
    with torch.no_grad():
        network.out.bias[:3] += 1  # of the first member
    assert torch.allclose(network(points), before + 0.5, atol=1e-6)
    features = network.norm(describe_hand(points)).repeat(1, 2).unsqueeze(2)
    hidden = network.hidden(features)
    features[:, :281] += 1
    changed = (network.hidden(features) != hidden).any(0).squeeze(1)
    assert changed[:8].any()
    assert not changed[8:].any()


def test_point_augmentation_is_a_function_of_its_draws_and_does_what_it_is_asked():
    points, draws = hands(4), torch.rand(4, PointAugment.num_draws)
    assert PointAugment(PointAugmentConfig())(points, draws) is points
    strong = PointAugment(
        PointAugmentConfig(rotation=20, tilt=15, aspect=0.2, depth=0.3, jitter=0.03)
    )
    assert torch.equal(strong(points, draws), strong(points, draws))
    assert (PointAugment(PointAugmentConfig(flat=1))(points, draws)[..., 2] == 0).all()
    turned = PointAugment(PointAugmentConfig(rotation=90))(points, draws)
    lengths = (points[:, 1:] - points[:, :1]).norm(dim=2)
    assert torch.allclose(
        (turned.norm(dim=2)[:, 1:] / lengths).std(dim=1), torch.zeros(4), atol=1e-5
    )
