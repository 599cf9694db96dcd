"""What may be wrong with a folder: files that are half there, left over, or other than those of an undisturbed run."""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from omegaconf import OmegaConf
from PIL import Image

from sign_cnn.models.classifier import SignClassifier

COMPARED_OF_CHECKPOINTS = (
    "epoch",
    "global_step",
    "state_dict",
    "optimizer_states",
    "lr_schedulers",
    "hyper_parameters",
)
NOT_COMPARED = ("second", "git_commit", "command")  # parts of names: times, a commit made meanwhile, the launcher


def torn(root: Path) -> list[str]:
    """Every file below `root` that cannot be read to its end."""
    faults = []
    for path in _files(root):
        if read := READERS.get(path.suffix):
            try:
                read(path)
            except FileNotFoundError:
                continue  # what is looked at may still be at work
            except Exception as error:
                faults.append(f"torn: {path.relative_to(root)}: {type(error).__name__}: {str(error).splitlines()[:1]}")
    return faults


def left_over(root: Path) -> list[str]:
    """Temporary files of a process that is gone."""
    return [f"left over: {path.relative_to(root)}" for path in root.rglob("*.tmp")]


def differences(reference: Path, root: Path) -> list[str]:
    """What is other below `root` than below `reference`, but for times."""
    before, now = (
        {path.relative_to(top): path for path in _files(top) if "tb" not in path.relative_to(top).parts}
        for top in (reference, root)
    )
    faults = [f"missing: {name}" for name in before.keys() - now.keys()]
    faults += [f"not in an undisturbed run: {name}" for name in now.keys() - before.keys()]
    for name in sorted(before.keys() & now.keys()):
        read = READERS.get(name.suffix)
        if read and not _equal(read(before[name]), read(now[name])):
            faults.append(f"differs: {name}")
    return faults


def _files(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and not path.name.startswith(".") and path.suffix not in (".tmp", ".lock", ".log"):
            yield path


def _csv(path: Path) -> Any:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    if len({len(row) for row in rows}) != 1:
        raise ValueError("rows of different length")
    kept = [i for i, name in enumerate(rows[0]) if _compared(name)]
    return [[row[i] for i in kept] for row in rows]


def _json(path: Path) -> Any:
    return {key: value for key, value in json.loads(path.read_text(encoding="utf-8")).items() if _compared(key)}


def _npz(path: Path) -> Any:
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    arrays.pop("note", None)  # of a cache: when its CSVs were written
    return arrays


def _checkpoint(path: Path) -> Any:
    SignClassifier.load(path)
    stored = torch.load(path, weights_only=True)
    return {key: stored[key] for key in COMPARED_OF_CHECKPOINTS}


def _png(path: Path) -> None:
    with Image.open(path) as image:
        image.load()


def _onnx(path: Path) -> Any:
    onnx.checker.check_model(model := onnx.load(path))
    return model.graph.SerializeToString()


READERS: dict[str, Callable[[Path], Any]] = {
    ".csv": _csv, ".json": _json, ".npz": _npz, ".ckpt": _checkpoint, ".png": _png, ".onnx": _onnx,
    ".yaml": lambda path: OmegaConf.to_container(OmegaConf.load(path)),
}  # fmt: skip


def _compared(name: str) -> bool:
    return not any(part in name for part in NOT_COMPARED)


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and np.array_equal(one, other)
    return bool(one == other)
