import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from fake_runs import write_run
from stub_network import NETWORK, make_classifier, noise, write_checkpoint

from sign_cnn import export
from sign_cnn.config import DataConfig
from sign_cnn.data.dataset import data_fingerprint
from sign_cnn.letters import LETTERS
from sign_cnn.models.classifier import SignClassifier
from sign_cnn.predict import OnnxModel

GREY_TO_RGB = {"_target_": "torch.nn.Conv2d", "in_channels": 1, "out_channels": 3, "kernel_size": 1}
RESNET = {"_target_": "torchvision.models.resnet18", "num_classes": 24, "weights": None}
NETWORKS = [
    {
        **NETWORK,
        "activation": "relu",
        "batch_norm": True,
        "downsample": "strided_conv",
        "dropout": 0.5,
    },
    {
        **NETWORK,
        "activation": "gelu",
        "convs_per_block": 2,
        "dense_units": [],
        "head": "global_pool",
    },
    {"_target_": "torch.nn.Sequential", "_args_": [GREY_TO_RGB, RESNET]},
]


def untrained(
    letters: str = LETTERS, size: int = 28, network: dict[str, Any] = NETWORK, **arguments: Any
) -> SignClassifier:
    torch.manual_seed(0)
    if "_args_" not in network:
        network = {
            "width": 4,
            "depth": 2,
            "num_classes": len(letters),
            "image_size": size,
            **network,
        }
    arguments = {"pixel_mean": 0.6, "pixel_std": 0.2, **arguments}
    model = make_classifier(network, letters=letters, image_size=size, **arguments)
    model.train()(torch.rand(64, size, size) * 255)  # batch norm is then no identity
    return model.eval()


@pytest.fixture
def make_run(tmp_path: Path, tiny_root: Path, tiny_cache: Path) -> Callable[..., Path]:
    def make(
        letters: str = LETTERS,
        size: int = 28,
        root: Path = tiny_root,
        fingerprint: str | None = None,
    ) -> Path:
        data = {"root": str(root), "cache_dir": str(tiny_cache), "letters": letters}
        fingerprint = fingerprint or data_fingerprint(DataConfig(**data))[0]
        write_checkpoint(
            tmp_path / "untrained" / "checkpoints" / "best.ckpt", untrained(letters, size)
        )
        result = {"data_fingerprint": fingerprint, "data_kind": "synthetic", "experiment": "best"}
        result |= {"test_acc": 0.25, "test_photos_wrong": 36}
        return write_run(tmp_path / "untrained", None, config={"data": data}, **result)

    return make


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_every_network_is_exported_as_it_is_and_without_traces_of_the_machine(
    tmp_path: Path, network: dict[str, Any]
):
    model = untrained(network=network)
    graph = export.make_graph(model)
    assert not [
        x
        for x in (b"site-packages", b".py", b"sign_cnn", b"stack_trace")
        if x in graph.SerializeToString()
    ]
    onnx.checker.check_model(graph, full_check=True)
    onnx.helper.set_model_props(graph, {"card": '{"letters": "ABC", "image_size": 28}'})
    onnx.save(graph, tmp_path / "model.onnx")
    for count in (1, 2, 300):  # more than a batch
        expected = torch.from_numpy(model.predict_logits(noise(count, 28, 28))).softmax(1).numpy()
        assert (
            np.abs(
                OnnxModel(tmp_path / "model.onnx").predict_proba(noise(count, 28, 28)) - expected
            ).max()
            < 1e-5
        )


def test_normalisation_of_each_image_survives_checkpoint_and_export(tmp_path: Path):
    write_checkpoint(tmp_path / "checkpoints" / "best.ckpt", untrained(per_image=True))
    model = SignClassifier.load(tmp_path / "checkpoints" / "best.ckpt")
    graph, images = export.make_graph(model), noise(5, 28, 28) // 2
    onnx.helper.set_model_props(graph, {"card": json.dumps({"letters": LETTERS, "image_size": 28})})
    onnx.save(graph, tmp_path / "model.onnx")
    expected = torch.from_numpy(untrained(per_image=True).predict_logits(images)).softmax(1).numpy()
    for brighter in (0, 100):
        seen = images + np.uint8(brighter)
        assert (
            np.abs(torch.from_numpy(model.predict_logits(seen)).softmax(1).numpy() - expected).max()
            < 1e-5
        )
        assert (
            np.abs(OnnxModel(tmp_path / "model.onnx").predict_proba(seen) - expected).max() < 1e-5
        )


@pytest.mark.parametrize("letters", [LETTERS, "CAB"])
def test_the_file_is_compared_on_the_test_pictures_and_says_what_it_is(
    make_run, capsys, letters: str
):
    run = make_run(letters)
    export.main([str(run)])
    card = OnnxModel(run / "model.onnx").card
    assert (card["letters"], card["image_size"], card["run"], card["seed"]) == (
        letters,
        28,
        "untrained",
        0,
    )
    assert (card["experiment"], card["test_acc"], card["val_acc"], card["test_photos_wrong"]) == (
        "best",
        0.25,
        None,
        36,
    )
    assert card["max_difference"] <= 1e-5
    assert card["compared"] == pytest.approx(10 * len(letters), rel=0.2)
    assert (
        f"{card['compared']} test pictures of the synthetic data: no letter"
        in capsys.readouterr().out
    )
    assert OnnxModel(run / "model.onnx").predict_proba(noise(3, 28, 28)).shape == (3, len(letters))


@pytest.mark.parametrize("gone", [True, False])
def test_drawn_hands_take_the_place_of_data_that_are_gone_or_changed(
    make_run, capsys, tmp_path: Path, gone: bool
):
    run = make_run(
        "AB", 40, **({"root": tmp_path / "gone"} if gone else {}), fingerprint="of 40×40 pixels"
    )
    export.main([str(run), "--output", str(tmp_path / "model.onnx")])
    card = OnnxModel(tmp_path / "model.onnx").card
    assert (card["image_size"], card["compared_with"], card["compared"]) == (
        40,
        "random inputs",
        240,
    )
    assert ("there is no folder" if gone else "are not those of") in capsys.readouterr().out


@pytest.mark.parametrize("shift", [0.01, 3000.0])
def test_a_file_that_answers_otherwise_is_not_written(
    make_run, tmp_path: Path, monkeypatch, shift: float
):
    model = untrained()
    model.network.head[-1].bias.data[3] += shift
    graph = export.make_graph(model)
    monkeypatch.setattr(export, "make_graph", lambda _: graph)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.onnx").write_text("the old one")
    with pytest.raises(SystemExit, match=r"Error: nothing was written: of .* probabilities up to"):
        export.main([str(make_run()), "--output", str(tmp_path / "out" / "model.onnx")])
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["the old one"]


def test_missing_packages_are_one_sentence_with_the_way_out(make_run, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "onnx" or None)
    with pytest.raises(
        SystemExit, match=r'export needs onnxruntime, onnxscript: pip install -e "\.\[export\]"'
    ):
        export.main([str(make_run())])
