import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from picture_run import CLASSES, mean_colours, write_picture_run
from stub_network import make_classifier

from sign_cnn import export
from sign_cnn.errors import UserError
from sign_cnn.inputs import LandmarkInputs, PictureInputs
from sign_cnn.predict import OnnxModel

CONV_NET = {"_target_": "sign_cnn.models.conv_net.ConvNet", "width": 4, "depth": 2}
CONV_NET |= {"num_classes": 3, "image_size": 28}
GREY, LANDMARKS = PictureInputs(1, 28), LandmarkInputs()
LANDMARK_MLP = {"_target_": "sign_cnn.models.landmark_mlp.LandmarkMLP", "num_classes": 3}
FEATURES = {"_target_": "sign_cnn.models.preprocessing.HandFeatures"}
NETWORKS = {
    "strided": (GREY, {**CONV_NET, "in_channels": 1, "downsample": "strided_conv", "dropout": 0.5}),
    "pooled": (GREY, {**CONV_NET, "in_channels": 1, "dense_units": [], "head": "global_pool"}),
    "colour": (PictureInputs(3, 28), {**CONV_NET, "in_channels": 3, "activation": "gelu"}),
    "resnet": (PictureInputs(3, 32), {"_target_": "torchvision.models.resnet18", "num_classes": 3}),
    "landmarks": (LANDMARKS, LANDMARK_MLP),
}


@pytest.mark.parametrize(("inputs", "network"), NETWORKS.values(), ids=NETWORKS)
def test_any_network_is_exported_as_it_is_and_without_traces_of_the_machine(inputs, network):
    torch.manual_seed(0)
    more = {"preprocessing": FEATURES} if inputs == LANDMARKS else {}
    model = make_classifier(network, inputs=inputs, class_names=list("ABC"), **more)
    model.train()(torch.from_numpy(inputs.example(64)))  # batch norm is then no identity
    graph = export.make_graph(model.eval())
    content = graph.SerializeToString()
    assert not [x for x in (b"site-packages", b"sign_cnn", b"stack_trace") if x in content]
    onnx.checker.check_model(graph, full_check=True)
    assert (inputs == LANDMARKS) == any(x.name == "taught" for x in graph.graph.initializer)
    card = {"class_names": model.class_names, "inputs": inputs.spec()}
    onnx.helper.set_model_props(graph, {"card": json.dumps(card)})
    exported = OnnxModel(graph.SerializeToString())
    for count in (1, 2, 300):  # more than a batch of ONNX Runtime
        examples = inputs.example(count, seed=1)
        difference = exported.predict_proba(examples) - model.predict_proba(examples)
        assert np.abs(difference).max() < export.MAX_DIFFERENCE


def test_the_file_is_compared_on_the_runs_own_data_and_says_what_it_is(tmp_path: Path):
    run = write_picture_run(tmp_path / "run", experiment="colours", test_acc=0.25)
    export.main([str(run)])
    model = OnnxModel(run / "model.onnx")
    assert (model.class_names, model.inputs) == (CLASSES, PictureInputs(3, 8))
    assert (model.card["run"], model.card["experiment"]) == ("run", "colours")
    assert (model.card["test_acc"], model.card["val_acc"]) == (0.25, None)
    assert (model.card["compared"], model.card["compared_with"]) == (12, "test rows")
    assert model.card["max_difference"] <= export.MAX_DIFFERENCE
    (tmp_path / "pictures").rename(tmp_path / "moved")
    export.main([str(run), "--output", str(tmp_path / "other.onnx")])
    assert OnnxModel(tmp_path / "other.onnx").card["compared_with"] == "random inputs"


@pytest.mark.parametrize("shift", [0.01, 3000.0])
def test_a_file_that_answers_otherwise_is_not_written(tmp_path: Path, monkeypatch, shift: float):
    run, model = write_picture_run(tmp_path / "run"), mean_colours()
    model.network[0].bias.data += torch.tensor([0, 0, shift])
    graph = export.make_graph(model)
    monkeypatch.setattr(export, "make_graph", lambda _: graph)
    (run / "model.onnx").write_text("the old one")
    with pytest.raises(SystemExit, match=r"^Error: "):
        export.main([str(run)])
    assert (run / "model.onnx").read_text() == "the old one"


class FixedBatch(torch.nn.Module):
    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels.reshape(len(pixels), -1)[:, :3]  # len() is a number, not a dimension


def test_a_network_that_torch_cannot_export_is_refused_by_name():
    model = mean_colours()
    model.network = FixedBatch()
    with pytest.raises(UserError, match="FixedBatch"):
        export.make_graph(model)


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    run = write_picture_run(tmp_path / "run")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "onnx" or None)
    with pytest.raises(SystemExit, match=r"onnxruntime, onnxscript"):
        export.main([str(run)])
