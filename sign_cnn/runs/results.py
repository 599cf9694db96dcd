"""What a run leaves behind in numbers: the fields of result.json, and when a run counts as done."""

import json
import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal, Self

from sign_cnn import typed_values
from sign_cnn.errors import UserError
from sign_cnn.files import write_text

Status = Literal["done", "failed", "running", "interrupted"]


@dataclass
class Result:
    """One flat row. None: not known (yet), or not asked for."""

    status: Status
    error: str | None = None  # one sentence, of a failed run
    name: str = ""
    experiment: str | None = None
    seed: int = 0
    overrides: list[str] = field(default_factory=list)  # of the command line
    config_hash: str = ""
    data_fingerprint: str = ""
    data_kind: str = ""  # official, synthetic or custom
    git_commit: str | None = None
    versions: str = ""
    machine: str = ""
    device: str | None = None
    num_params: int | None = None
    macs: int | None = None  # multiply-accumulates of one forward pass of one image
    epochs: int | None = None  # trained, all sessions together
    fit_seconds: float | None = None  # training, validation and checkpoints, all sessions together
    train_images_per_second: float | None = None  # while training, without validation and checkpoints
    best_epoch: int | None = None  # counted from 1
    val_split: str | None = None
    split_seed: int | None = None
    fold: int | None = None
    val_acc: float | None = None  # share of rows right, of the best checkpoint, as all below
    val_loss: float | None = None
    val_originals: int | None = None  # photographs
    val_originals_wrong: int | None = None  # most of whose variants are wrong
    test_acc: float | None = None
    test_loss: float | None = None
    test_errors: int | None = None  # rows wrong
    test_originals: int | None = None
    test_originals_wrong: int | None = None
    test_originals_with_error: int | None = None
    test_acc_ci95: list[float] | None = None  # counted by photograph

    def write(self, path: Path) -> None:
        """Writes the JSON file in one step."""
        write_text(path, json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads a result file; fields of other versions are left out.

        Raises:
            UserError: The file is missing or is no result.
        """
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            known = {item.name for item in fields(cls)}
            values = {key: value for key, value in stored.items() if key in known}
            if found := typed_values.problems(values, cls):
                raise ValueError("; ".join(found[:3]))
            return cls(**values)
        except FileNotFoundError:
            raise UserError(f"{path} does not exist: is {path.parent} the directory of a run?") from None
        except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
            raise UserError(f"{path} is not a result file ({error}); remove it to run again") from None


@cache
def versions() -> str:
    """Versions of what decides about numbers."""
    packages = ["torch", "torchvision", "pytorch-lightning", "hydra-core", "numpy", "scikit-learn", "sign-cnn"]
    return ", ".join([f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)])


@cache
def machine() -> str:
    """System, processor and number of cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{platform.system()} {platform.machine()}, {_processor()}, {cores} cores"


@cache
def git_commit() -> str | None:
    """Commit of this code, with `-dirty` if it was changed since; None outside a clone."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--match="]
    # Git's own variables may name another repository, or a program for Git to call.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10, env=environment)
        return done.stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown processor"
