"""Checkpoints from disk: numbers and plain settings alone, looked at before a network is built from them.

A checkpoint may come from anywhere. It is unpickled with torch's `weights_only`, which makes tensors and plain
containers and calls nothing else; it may not unpack to more than the file holds; and what it says of the network has to
be possible, and to fit the weights beside it, before memory is taken for it.
"""

import pickle
import re
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sign_cnn import typed_values
from sign_cnn.bounds import out_of_range
from sign_cnn.config import ModelConfig, OptimizerConfig, SchedulerConfig
from sign_cnn.data.dataset import IMAGE_SIZE
from sign_cnn.errors import UserError
from sign_cnn.letters import LETTERS
from sign_cnn.models import geometry

GROUPS = {"network": ModelConfig, "optimizer": OptimizerConfig, "scheduler": SchedulerConfig}
TRAINING_STATE = ("callbacks", "epoch", "global_step", "loops", "lr_schedulers", "optimizer_states")
"""What else a run needs to go on."""

Content = dict[str, Any]


@dataclass
class Inputs:
    """What a classifier is built with besides its groups of settings."""

    pixel_mean: float = 0.0
    pixel_std: float = 1.0
    letters: str = LETTERS
    image_size: int = IMAGE_SIZE


def read(path: Path, *, resumable: bool = False) -> Content:
    """What a checkpoint holds: `state_dict`, `hyper_parameters` of `SignClassifier`, and the state of the training.

    Args:
        path: The file.
        resumable: Whether a run is to go on from it.

    Raises:
        FileNotFoundError: There is none.
        UserError: It is damaged, holds what is no plain value, or describes no network that can be.
    """
    try:
        size = _checked_size(path)
        with warnings.catch_warnings(action="ignore"):  # of sparse tensors, which are refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except pickle.UnpicklingError as error:
        raise _refused(path, str(error)) from None
    except Exception as error:  # a torn archive fails in as many ways as it can be torn
        raise _refused(path, str(error) or type(error).__name__) from None
    if found := _problems(content, size, resumable):
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise UserError(
            f"{path} is not a usable checkpoint: {'; '.join(found[:3])}{more}: train again, or name another one"
        )
    return content  # type: ignore[no-any-return]


def load_weights(model: torch.nn.Module, weights: dict[str, Tensor], called: Path | str) -> None:
    """Gives a network weights, which have to be of one like it.

    Raises:
        UserError: They are of another network.
    """
    check_same_network(model, weights, called)
    model.load_state_dict(weights)


def check_same_network(model: torch.nn.Module, weights: dict[str, Tensor], called: Path | str) -> None:
    """Compares names and shapes.

    Raises:
        UserError: They differ.
    """
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in weights.items()}
    if differing := sorted(name for name in expected | given if expected.get(name) != given.get(name)):
        raise UserError(
            f"{called} holds the weights of another network, which differs in {len(differing)} layers such as "
            f"{differing[0][:60]}: remove it to begin again, or name another one"
        )


def _checked_size(path: Path) -> int:
    """Bytes of the file, which may not be packed: torch never packs, and what is packed may be a bomb."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        if sum(member.file_size for member in archive.infolist()) > size:
            raise ValueError("it would unpack to more than its size")
    return size


def _refused(path: Path, reason: str) -> UserError:
    if called := re.search(r"(?:GLOBAL|Unsupported class|call) ([\w.]+)", reason):
        return UserError(
            f"{path} was not opened: it asks for {called[1][:60]}, and a checkpoint that calls anything could do "
            "anything; train again, or take one that holds weights and plain settings alone"
        )
    return UserError(f"{path} cannot be read as a checkpoint ({reason.strip().splitlines()[0][:200]}): train again")


def _problems(content: Any, size: int, resumable: bool) -> list[str]:
    if not isinstance(content, dict):
        return [f"it holds a {type(content).__name__}"]
    if resumable and (missing := [name for name in TRAINING_STATE if name not in content]):
        return [f"it holds no {missing[0]} to go on from"]
    weights, settings = content.get("state_dict"), content.get("hyper_parameters")
    if not isinstance(weights, dict) or not weights:
        return ["it holds no weights"]
    if not isinstance(settings, dict):
        return ["it does not say which network it is of"]
    return _weight_problems(weights, size) or _setting_problems(settings, weights)


def _weight_problems(weights: dict[Any, Any], size: int) -> list[str]:
    for name, value in weights.items():
        plain = isinstance(value, Tensor) and value.layout == torch.strided and value.device.type == "cpu"
        if not isinstance(name, str) or not plain:
            return ["not all of its weights are plain tensors"]
    if sum(value.numel() * value.element_size() for value in weights.values()) > size:
        return ["its weights claim more data than the file holds"]  # one number seen as many
    if not all(bool(value.isfinite().all()) for value in weights.values()):
        return ["some of its weights are not finite"]
    return []


def _setting_problems(settings: dict[Any, Any], weights: dict[str, Tensor]) -> list[str]:
    found = typed_values.problems({key: settings[key] for key in settings if key not in GROUPS}, Inputs)
    for name, schema in GROUPS.items():
        group = settings.get(name) or {}
        if not isinstance(group, dict):
            found.append(f"{name} is a {type(group).__name__}, expected settings by name")
        elif wrong := typed_values.problems(group, schema):
            found += [f"{name}: {problem}" for problem in wrong]
        else:
            found += out_of_range(schema(**group), f"{name}.")
    if found:
        return found
    inputs = Inputs(**{key: settings[key] for key in settings if key not in GROUPS})
    network = ModelConfig(**settings.get("network") or {})
    return _input_problems(inputs) or geometry.problems(network) or _missing_weights(network, weights)


def _input_problems(inputs: Inputs) -> list[str]:
    found = []
    if inputs.letters != LETTERS:
        found.append(f"its letters are {inputs.letters[:30]!r}, expected {LETTERS}")
    if inputs.image_size != IMAGE_SIZE:
        found.append(f"it is for pictures of {inputs.image_size} pixels a side, expected {IMAGE_SIZE}")
    if not (0 <= inputs.pixel_mean <= 1 and 0 < inputs.pixel_std <= 1):
        found.append(f"pixel_mean={inputs.pixel_mean:g} and pixel_std={inputs.pixel_std:g} are not of pixels in 0..1")
    return found


def _missing_weights(network: ModelConfig, weights: dict[str, Tensor]) -> list[str]:
    expected, given = geometry.shape(network).num_params, sum(value.numel() for value in weights.values())
    layers = len(network.dense_units)
    if given < expected or len(weights) < layers:
        return [f"its network has {expected:,} weights and {layers} dense layers, and it holds {given:,} weights"]
    return []
