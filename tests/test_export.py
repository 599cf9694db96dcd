import functools
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from stub_network import noise, stub_classifier, write_run

from sign_cnn import export
from sign_cnn.config import Config, DataConfig, SyntheticConfig
from sign_cnn.data import source
from sign_cnn.errors import DataError, UserError
from sign_cnn.inference import onnx_graph
from sign_cnn.inference.model_card import ModelCard
from sign_cnn.inference.onnx_graph import make_graph
from sign_cnn.inference.onnx_model import OnnxModel
from sign_cnn.letters import LETTERS
from sign_cnn.models.classifier import SignClassifier
from sign_cnn.reports import scoring

NETWORK = {"width": 4, "depth": 2, "kernel_size": 3, "dense_units": [16]}


def classifier(seed: int = 0, **network) -> SignClassifier:
    torch.manual_seed(seed)
    model = SignClassifier(NETWORK | network, pixel_mean=0.6, pixel_std=0.2)
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):  # as after training, not the identity
            torch.nn.init.uniform_(layer.running_mean, -1, 1)
            torch.nn.init.uniform_(layer.running_var, 0.5, 2)
    return model.eval()


def probabilities(model: SignClassifier, images: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return model(torch.from_numpy(images)).softmax(1).numpy()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_root: Path, tiny_cache: Path) -> Path:
    """A finished run on the tiny set, whose network nobody trained."""
    config = Config(name="untrained", data=DataConfig(root=str(tiny_root), cache_dir=str(tiny_cache)))
    fingerprint = source.fingerprint(config.data)[0]
    scores = {"test_acc": 0.25, "test_originals": 48, "test_originals_wrong": 36, "experiment": "stub"}
    path = tmp_path_factory.mktemp("runs") / "untrained"
    return write_run(path, classifier(), config, fingerprint=fingerprint, **scores)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The run's network goes through the exporter once for each type, not once for each test."""
    monkeypatch.setattr(onnx_graph, "_exported", lambda module: onnx.load_from_string(exported_once(module.dtype)))
    monkeypatch.setattr(export, "DRAWN_PER_LETTER", 1)


exporter = onnx_graph._exported


@functools.cache
def exported_once(dtype: torch.dtype) -> bytes:
    return exporter(onnx_graph._Inference(classifier(), dtype)).SerializeToString()


@pytest.mark.parametrize(
    "network",
    [
        {"activation": "relu", "batch_norm": True, "downsample": "strided_conv"},
        {"activation": "leaky_relu", "head": "global_pool", "dropout": 0.5},
        {"activation": "gelu", "convs_per_block": 2, "dense_units": [], "kernel_size": 1},
        {"activation": "silu", "batch_norm": True, "head": "global_pool", "downsample": "strided_conv"},
    ],
    ids=str,
)
def test_every_choice_of_the_network_is_exported_as_it_is(tmp_path: Path, network: dict):
    model = classifier(**network)
    graph = make_graph(model, "float32")
    onnx.checker.check_model(graph, full_check=True)
    onnx.helper.set_model_props(graph, ModelCard(LETTERS, 28, "uint8", "float32").as_metadata())
    (tmp_path / "model.onnx").write_bytes(graph.SerializeToString())
    exported = OnnxModel(tmp_path / "model.onnx")
    for count in (1, 2, 300):  # more than a batch at once
        images = noise(count, seed=count)
        assert np.abs(exported.probabilities(images) - probabilities(model, images)).max() < 1e-6
    assert exported.logits(images).shape == (300, 24)
    assert not model.training
    assert next(model.network.blocks.parameters()).dtype == torch.float32


@pytest.mark.usefixtures("quick")
def test_the_file_says_what_it_is(run: Path, tmp_path: Path):
    written, note = export.export(scoring.open_run(run), tmp_path / "model.onnx")
    card = OnnxModel(tmp_path / "model.onnx").card
    assert card == written
    assert note is None
    assert (card.letters, card.image_size, card.precision, card.run) == (LETTERS, 28, "float32", "untrained")
    assert (card.experiment, card.test_acc, card.val_acc, card.test_originals_wrong) == ("stub", 0.25, None, 36)
    assert card.input.startswith("uint8 (batch, 28, 28)")
    assert card.letters_changed == 0
    assert card.max_difference < 1e-5
    assert card.drawn_images == 24
    assert "test pictures" in card.compared_with


@pytest.mark.usefixtures("quick")
def test_nothing_of_the_machine_that_exported_is_in_the_file(run: Path, tmp_path: Path):
    export.export(scoring.open_run(run), tmp_path / "model.onnx")
    content = (tmp_path / "model.onnx").read_bytes()
    for trace in (b"site-packages", b".py", str(Path(export.__file__).parent).encode(), b"stack_trace"):
        assert trace not in content


@pytest.mark.usefixtures("quick")
def test_missing_data_are_said_and_drawn_hands_take_their_place(run: Path, tmp_path: Path, monkeypatch):
    def gone(_):
        raise DataError("the data are gone")

    monkeypatch.setattr(scoring, "load_data", gone)
    monkeypatch.setattr(export, "DRAWN_SET", SyntheticConfig(train_photographs=1, test_photographs=1, variants=5))
    card, note = export.export(scoring.open_run(run), tmp_path / "model.onnx")
    assert note.endswith("the data are gone")
    assert card.compared_with == "drawn hands"
    assert card.compared_images > 24


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("shift", [1e-3, 3.0])
def test_a_file_that_answers_otherwise_is_not_written(run: Path, tmp_path: Path, monkeypatch, shift: float):
    make = export.make_graph

    def differing(*arguments):
        graph = make(*arguments)
        for weight in graph.graph.initializer:
            if weight.name.endswith("head.4.bias"):
                values = onnx.numpy_helper.to_array(weight).copy()
                values[3] += shift
                weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
        return graph

    monkeypatch.setattr(export, "make_graph", differing)
    (tmp_path / "model.onnx").write_text("the old one")
    with pytest.raises(UserError, match="nothing was written"):
        export.export(scoring.open_run(run), tmp_path / "model.onnx")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["the old one"]


@pytest.mark.usefixtures("quick")
def test_half_precision_is_measured_and_smaller(run: Path, tmp_path: Path):
    directory = scoring.open_run(run)
    export.export(directory, tmp_path / "full.onnx")
    card, _ = export.export(directory, tmp_path / "half.onnx", "float16")
    assert card.precision == "float16"
    assert 0 < card.max_difference < 0.01
    assert (tmp_path / "half.onnx").stat().st_size < 0.7 * (tmp_path / "full.onnx").stat().st_size


@pytest.mark.usefixtures("quick")
def test_int8_that_changes_letters_is_refused_and_else_its_own_accuracy_is_noted(
    run: Path, tmp_path: Path, monkeypatch
):
    directory = scoring.open_run(run)
    monkeypatch.setattr(export, "MAX_CHANGED", -0.001)
    with pytest.raises(UserError, match=r"the int8 file reads \d+ otherwise"):
        export.export(directory, tmp_path / "model.onnx", "int8")
    monkeypatch.setattr(export, "MAX_CHANGED", 1.0)
    card, _ = export.export(directory, tmp_path / "model.onnx", "int8")
    assert card.letters_changed > 0
    images, labels = (getattr(scoring.load_data(directory), f"test_{name}") for name in ("images", "labels"))
    measured = OnnxModel(tmp_path / "model.onnx").probabilities(images).argmax(1) == labels
    assert card.test_acc == pytest.approx(measured.mean())
    assert card.test_originals_wrong is None


@pytest.mark.usefixtures("quick")
def test_the_command_writes_beside_the_run_and_says_what_it_measured(run: Path, capsys):
    export.main([str(run)])
    assert OnnxModel(run / "model.onnx").letters == LETTERS
    out = capsys.readouterr().out
    assert "0 read otherwise than by the checkpoint" in out
    assert "test accuracy 25.00 %" in out


def test_a_directory_that_is_no_run_is_one_sentence(tmp_path: Path):
    with pytest.raises(SystemExit, match=r"Error: .*result\.json does not exist"):
        export.main([str(tmp_path)])


def test_a_card_comes_back_as_it_was_written():
    card = ModelCard(LETTERS, 28, "uint8", "int8", run="null", experiment=None, seed=0, test_acc=0.5, val_split="group")
    assert ModelCard.from_metadata(card.as_metadata(), "x") == card
    later = {**card.as_metadata(), "of_a_later_version": "1"}
    assert ModelCard.from_metadata(later, "x") == card


def test_foreign_notes_are_one_sentence():
    with pytest.raises(DataError, match=r"x\.onnx lacks the notes"):
        ModelCard.from_metadata({"letters": LETTERS}, "x.onnx")


def test_the_stub_that_other_tests_rely_on_is_read_by_its_greys():
    greys = np.stack([np.full((28, 28), 10 + 10 * k, np.uint8) for k in range(24)])
    assert probabilities(stub_classifier(), greys).argmax(1).tolist() == list(range(24))
