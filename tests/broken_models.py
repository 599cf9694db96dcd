"""Checkpoints and exported networks that are damaged, foreign or hostile."""

import pickle
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import torch
from broken import Case, Corpus
from hostile import CANARY, archive_of, claiming_gigabytes, hostile_pickle
from stub_network import picture_of, stub_classifier, write_checkpoint, write_onnx


def _picture(folder: Path) -> str:
    path = folder / "picture.png"
    picture_of("K").save(path)
    return str(path)


def _file(called: str, name: str, write: Callable[[Path], Any], words: str) -> Case:
    """A file, for `python -m sign_cnn.predict`."""

    def make(folder: Path) -> list[str]:
        path = folder / called
        write(path)
        return ["predict", str(path), _picture(folder)]

    return Case(name, make, f"{called} {words}")


_checkpoint, _model = partial(_file, "best.ckpt"), partial(_file, "model.onnx")


def _content(name: str, content: bytes, words: str = "cannot be read as a checkpoint (") -> Case:
    return _checkpoint(name, lambda path: path.write_bytes(content), words)


def _saved(name: str, change: Callable[[dict[str, Any]], Any], words: str) -> Case:
    """A sound checkpoint, changed and stored again."""

    def write(path: Path) -> None:
        content = torch.load(write_checkpoint(stub_classifier(), path), weights_only=True)
        replaced = change(content)
        torch.save(content if replaced is None else replaced, path)

    return _checkpoint(name, write, f"is not a usable checkpoint: {words}")


def _setting(name: str, words: str, /, **values: Any) -> Case:
    return _saved(name, lambda content: content["hyper_parameters"].update(values), words)


def _network(name: str, words: str, /, **values: Any) -> Case:
    return _saved(name, lambda content: content["hyper_parameters"]["network"].update(values), words)


def _first_weight(content: dict[str, Any], value: Callable[[torch.Tensor], Any]) -> None:
    key = next(iter(content["state_dict"]))
    content["state_dict"][key] = value(content["state_dict"][key])


def _cut(path: Path) -> None:
    whole = write_checkpoint(stub_classifier(), path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def _packed(path: Path) -> None:
    content = write_checkpoint(stub_classifier(), path).read_bytes()
    path.write_bytes(claiming_gigabytes(content))


def _legacy(path: Path) -> None:
    torch.save({"state_dict": {}}, path, _use_new_zipfile_serialization=False)


NOT_USED = "was not opened: it asks for "
CHECKPOINTS = [
    _content("empty", b""),
    _content("text", b"label,pixel1\n"),
    _checkpoint("cut short", _cut, "cannot be read as a checkpoint ("),
    _content("a pickle that runs code", hostile_pickle()),
    _content("an archive that runs code", archive_of(hostile_pickle()), NOT_USED),
    _content("an archive of an unfinished pickle", archive_of(pickle.dumps({}, protocol=2)[:-1])),
    _checkpoint("torch's old format", _legacy, "cannot be read as a checkpoint ("),
    _checkpoint("a bomb", _packed, "cannot be read as a checkpoint (it would unpack to more than its size)"),
    _checkpoint("a whole network", lambda path: torch.save(stub_classifier().network, path), NOT_USED),
    _saved("a list", lambda _: [1, 2], "it holds a list"),
    _saved("weights alone", lambda content: content["state_dict"], "it holds no weights"),
    _saved("no weights", lambda content: content.update(state_dict={}), "it holds no weights"),
    _saved("text for weights", lambda content: _first_weight(content, str), "not all of its weights are plain tensors"),
    _saved("sparse weights", lambda content: _first_weight(content, torch.Tensor.to_sparse), "not all of its weights"),
    _saved(
        "one weight seen as a trillion",
        lambda content: _first_weight(content, lambda weight: weight.reshape(-1)[:1].expand(10**12)),
        "its weights claim more data than the file holds",
    ),
    _saved(
        "NaN",
        lambda content: _first_weight(content, lambda weight: weight * float("nan")),
        "some of its weights are not finite",
    ),
    _saved("no settings", lambda content: content.pop("hyper_parameters") and None, "it does not say which network"),
    _setting("a list for the network", "network is a list, expected settings by name", network=[1]),
    _setting("another class", "_instantiator is not known", _instantiator=f"{CANARY}.run"),
    _setting("fewer letters", "its letters are 'ABC', expected ABCDEFGHIKLMNOPQRSTUVWXY", letters="ABC"),
    _setting("image_size 10^6", "it is for pictures of 1000000 pixels a side, expected 28", image_size=10**6),
    _setting("no spread of the pixels", "pixel_mean=0 and pixel_std=0 are not of pixels", pixel_std=0.0),
    _setting("text for the mean", "pixel_mean is 'high', expected a number", pixel_mean="high"),
    _setting("NaN for the mean", "pixel_mean is nan, expected a number", pixel_mean=float("nan")),
    _setting(
        "unknown optimiser", "optimizer: name is 'lion', expected adam or adamw or sgd", optimizer={"name": "lion"}
    ),
    _network("width 10^9", "network.width=1000000000 must be at least 1 and at most 4096", width=10**9),
    _network("depth 10^6", "network.depth=1000000 must be at least 1 and at most 16", depth=10**6),
    _network("a number of 400 digits", "network: width is 1", width=10**400),
    _network("text for a number", "network: kernel_size is '5', expected a whole number", kernel_size="5"),
    _network("too deep for the picture", "6 blocks do not fit 28×28 pixels", depth=6),
    _network("too many weights", "the network would have 17,617,027,096", width=4096, depth=4, kernel_size=5),
    _network("100,000 dense layers", "its network has ", dense_units=[1] * 100_000),
    _network("more weights than there are", "its network has ", width=64),
    _network("unknown setting", "network: attention is not known", attention=True),
]


def _other_network(path: Path) -> None:
    content = torch.load(write_checkpoint(stub_classifier(), path), weights_only=True)
    content["state_dict"] = {f"x{key}": value for key, value in content["state_dict"].items()}
    torch.save(content, path)


CHECKPOINTS.append(_checkpoint("other names of weights", _other_network, "holds the weights of another network"))


def _identity(path: Path) -> None:
    """Somebody else's network."""
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", value[:1], value[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)
    path.write_bytes(model.SerializeToString())


def _noted(**notes: Any) -> Callable[[Path], Any]:
    def write(path: Path) -> None:
        model = onnx.load_from_string(write_onnx(path).read_bytes())
        stored = {item.key: item.value for item in model.metadata_props} | notes
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, stored)
        path.write_bytes(model.SerializeToString())

    return write


def _impostor(path: Path) -> None:
    """Somebody else's network under our notes."""
    notes = {item.key: item.value for item in onnx.load_from_string(write_onnx(path).read_bytes()).metadata_props}
    _identity(path)
    model = onnx.load_from_string(path.read_bytes())
    onnx.helper.set_model_props(model, notes)
    path.write_bytes(model.SerializeToString())


MODELS = [
    _model("missing", lambda _: None, "does not exist"),
    _model("empty", lambda path: path.touch(), "is not a readable ONNX model"),
    _model("text", lambda path: path.write_bytes(b"not a model"), "is not a readable ONNX model"),
    _model("a pickle", lambda path: path.write_bytes(hostile_pickle()), "is not a readable ONNX model"),
    _model(
        "cut short", lambda path: path.write_bytes(write_onnx(path).read_bytes()[:2000]), "is not a readable ONNX model"
    ),
    _model("somebody else's", _identity, "lacks the notes of an exported network"),
    _model("somebody else's under our notes", _impostor, "has no outputs logits and probabilities"),
    _model("text for a size", _noted(image_size='"28"'), "lacks the notes of an exported network (image_size is '28'"),
    _model("a million brackets", _noted(image_size="[" * 1_000_000), "lacks the notes of an exported network"),
    _model("no letters", _noted(letters=""), "names no letters or no image size"),
    _model("too few letters", _noted(letters="ABC"), "cannot read pictures"),
]

CORPUS: Corpus = {"checkpoints": CHECKPOINTS, "ONNX files": MODELS}
