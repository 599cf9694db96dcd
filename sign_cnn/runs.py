"""A run's directory: who may write to it, what it holds, and the one rule of resuming.

The same command into the same directory returns a finished result, continues a half-done run, and is refused if it is
another experiment. A run that says `running` while nobody holds its lock was killed, and is continued.
"""

import json
import logging
import os
import platform
import re
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from sign_cnn.config import config_hash, experiment_settings
from sign_cnn.data.dataset import Rows
from sign_cnn.errors import RunInUseError, UserError, error_message
from sign_cnn.files import atomic_write, explain_os_errors, remove_temporary, write_text

log = logging.getLogger(__name__)

Status = Literal["running", "interrupted", "failed", "done"]


@dataclass
class Result:
    """`result.json`: one flat row. None: not known, or not asked for."""

    status: Status
    error: str | None = None
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
    epochs: int | None = None  # trained in all, interruptions included
    fit_seconds: float | None = None  # training and validation, and all checkpoints but the last
    train_images_per_second: float | None = (
        None  # while training, without validation and checkpoints
    )
    best_epoch: int | None = None  # counted from 1
    val_split: str | None = None
    split_seed: int | None = None
    fold: int | None = None
    val_acc: float | None = None  # share of rows right, of the best checkpoint, as all below
    val_loss: float | None = None
    val_photos: int | None = None
    val_photos_wrong: int | None = None  # most of whose variants are wrong
    test_acc: float | None = None
    test_loss: float | None = None
    test_errors: int | None = None  # rows wrong
    test_photos: int | None = None
    test_photos_wrong: int | None = None
    test_photos_with_error: int | None = None
    test_acc_ci95: list[float] | None = None  # by photo
    test_clean_acc: float | None = (
        None  # of rows whose photo has no look-alike among the training photos
    )
    test_clean_acc_ci95: list[float] | None = None
    test_clean_photos: int | None = None
    test_clean_photos_wrong: int | None = None

    def save(self, path: Path) -> None:
        """Write the JSON file atomically."""
        write_text(path, json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a result file; unknown fields are left out. Raises UserError: the file is missing or damaged."""
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                **{item.name: stored[item.name] for item in fields(cls) if item.name in stored}
            )
        except FileNotFoundError:
            raise UserError(
                f"{path} does not exist: is {path.parent} the directory of a run?"
            ) from None
        except (OSError, ValueError, TypeError) as error:
            raise UserError(
                f"{path} is not a result file ({error}); remove it to run again"
            ) from None


@dataclass(frozen=True)
class Predictions:
    """One entry per row; arrays of equal length."""

    split: NDArray[np.str_]  # "val" or "test"
    row: NDArray[np.int64]  # of the training or test set, from 0
    photo: NDArray[np.int64]  # rows of a file with the same number show the same photo
    label: NDArray[np.int64]  # class index
    logits: NDArray[
        np.floating[Any]
    ]  # (N, classes); stored as float16 with the largest of each row at 0
    similarity: NDArray[
        np.float32
    ]  # of its photo to the nearest training photo of the letter, -1..1; NaN: not known

    def of(self, split: str) -> "Predictions":
        """The rows of one split in file order; possibly none."""
        index = np.flatnonzero(self.split == split)
        return self.take(index[np.argsort(self.row[index], kind="stable")])

    def take(self, index: NDArray[Any]) -> "Predictions":
        """Some of the rows, by mask or by number."""
        return Predictions(*(getattr(self, item.name)[index] for item in fields(self)))

    @classmethod
    def of_rows(
        cls, split: str, rows: Rows, index: NDArray[np.int64], logits: NDArray[np.float32]
    ) -> Self:
        """Logits of the rows of a file with these numbers."""
        facts = (rows.photos[index], rows.labels[index], logits, rows.similarity[index])
        return cls(np.full(len(index), split), index, *facts)

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Several of them as one."""
        return cls(
            *(np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(cls))
        )

    @property
    def predicted(self) -> NDArray[np.int64]:
        largest: NDArray[np.int64] = self.logits.argmax(1)
        return largest

    @property
    def correct(self) -> NDArray[np.bool_]:
        return np.equal(self.predicted, self.label)

    def save(self, path: Path) -> None:
        """Write a compressed .npz atomically.

        Each row's largest logit is subtracted first, which no probability notices: float16 is fine near 0, and would
        make ties of large logits that differ.
        """
        below = (self.logits - self.logits.max(axis=1, keepdims=True)).clip(
            np.finfo(np.float16).min, 0
        )
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **{**vars(self), "logits": below.astype(np.float16)})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote. Raises UserError: the file is missing or damaged."""
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                return cls(*(stored[item.name] for item in fields(cls)))
        except Exception as error:  # a damaged zip makes numpy and zipfile raise nearly anything
            raise UserError(f"{path} cannot be read ({error}): run it again") from None


@dataclass
class Run:
    """Paths of one run, and its result so far."""

    path: Path
    result: Result

    @property
    def best_checkpoint(self) -> Path:
        return self.path / "checkpoints" / "best.ckpt"  # by `monitor`; the last epoch's without one

    @property
    def last_checkpoint(self) -> Path | None:
        path = self.path / "checkpoints" / "last.ckpt"
        return path if path.exists() else None

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.npz"

    @property
    def finished(self) -> bool:
        return self.result.status == "done"

    def store(self, status: Status, error: str | None = None, **scores: Any) -> None:
        """Update `result.json`; only global rank 0 writes."""
        self.result = replace(self.result, status=status, error=error, **scores)
        if global_rank() == 0:
            self.result.save(self.path / "result.json")


def load_run(path: Path) -> Run:
    """A finished run. Raises UserError: there is no run, or it is not done."""
    if not path.is_dir():
        raise UserError(
            f"{path} is not a directory: name that of a finished run, such as outputs/runs/NAME"
        )
    run = Run(path, Result.load(path / "result.json"))
    if not run.finished:
        reason = f" ({run.result.error})" if run.result.error else ""
        raise UserError(
            f"the run in {path} is not done but {run.result.status}{reason}: start it again to finish it"
        )
    return run


def load_config(path: Path) -> DictConfig:
    """The composed configuration of a run's directory. Raises UserError: there is none, or it cannot be read."""
    try:
        config = OmegaConf.load(path / "config.yaml")
    except FileNotFoundError:
        raise UserError(f"{path} holds no config.yaml: it is not the directory of a run") from None
    except Exception as error:  # PyYAML's and OmegaConf's errors have no common base
        raise UserError(f"{path / 'config.yaml'} cannot be read: {error_message(error)}") from None
    assert isinstance(config, DictConfig)
    return config


@contextmanager
def open_run(
    cfg: DictConfig, fingerprint: str, data_kind: str, overrides: Sequence[str] = ()
) -> Iterator[Run]:
    """Lock `cfg.run_dir` for the block, and record how it ends. Raises UserError: in use, foreign or read-only."""
    path = Path(cfg.run_dir)
    run = Run(path, new_result(cfg, overrides))
    run.result.config_hash = config_hash(cfg, fingerprint)
    run.result.data_fingerprint, run.result.data_kind = fingerprint, data_kind
    if global_rank() > 0:
        yield run
        return
    with explain_os_errors(path), lock_directory(path):
        stored = stored_result(cfg, fingerprint)
        scored = (
            stored and stored.status == "done" and (stored.test_acc is not None or not cfg.test)
        )
        if stored and scored and cfg.trainer.max_epochs <= load_config(path).trainer.max_epochs:
            yield Run(path, stored)
            return
        for folder in (path, path / "checkpoints", path / "figures"):
            remove_temporary(folder)
        cfg.run_id = (
            cfg.run_id or (stored and load_config(path).get("run_id")) or secrets.token_hex(4)
        )
        write_text(path / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
        run.store("running")
        try:
            yield run
        except Exception as error:
            with suppress(OSError):  # a full disk may be what failed
                run.store("failed", error_message(error))
            raise
        except BaseException:  # Ctrl-C, SIGTERM
            with suppress(OSError):
                run.store("interrupted")
            raise


@contextmanager
def lock_directory(path: Path) -> Iterator[None]:
    """Hold a directory's lock, which the system frees however the process ends; `RunInUseError` if another has it."""
    path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path / ".lock")
    try:
        lock.acquire(
            timeout=0.5, poll_interval=0.05
        )  # `is_locked` of another process takes it for an instant
    except Timeout:
        raise RunInUseError(
            f"another process is at work in {path}: wait for it, or choose another name"
        ) from None
    try:
        yield
    finally:
        lock.release()


def is_locked(path: Path) -> bool:
    """Whether a process is at work in a run's directory."""
    if not (path / ".lock").exists():
        return False
    try:
        with FileLock(path / ".lock", timeout=0):
            return False
    except (Timeout, OSError):  # also a lock that only others may open
        return True


def stored_result(cfg: DictConfig, fingerprint: str) -> Result | None:
    """The result in `cfg.run_dir`, None where no epoch was finished. Raises UserError: it is of another experiment.

    More `trainer.max_epochs` than before continue a run, unless a schedule was laid out for the old length.
    """
    path = Path(cfg.run_dir)
    if not (path / "result.json").exists():
        (path / "checkpoints" / "last.ckpt").unlink(missing_ok=True)  # of an unknown experiment
        return None
    stored = Result.load(path / "result.json")
    if stored.config_hash == config_hash(cfg, fingerprint):
        return stored
    if stored.status != "done" and not Run(path, stored).last_checkpoint:
        return None
    before, now = experiment_settings(load_config(path)), experiment_settings(cfg)
    keys = [key for key in before | now if before.get(key) != now.get(key)]
    more_epochs = keys == ["trainer.max_epochs"] and now[keys[0]] > before[keys[0]]
    if more_epochs and not cfg.scheduler and stored.data_fingerprint == fingerprint:
        return stored
    differences = [
        f"{key}={json.dumps(now.get(key))} (there: {json.dumps(before.get(key))})" for key in keys
    ]
    if stored.data_fingerprint != fingerprint:
        differences.append(f"data {fingerprint[:12]} (there: {stored.data_fingerprint[:12]})")
    schedule = " (its learning rate schedule is laid out for the old length)" if more_epochs else ""
    raise UserError(
        f"{path} holds another experiment, which differs in {', '.join(differences)}{schedule}: choose another name, "
        f"or start from its weights with init_from={path} and another name"
    )


def record_failure(cfg: DictConfig, overrides: Sequence[str], error: Exception) -> None:
    """Record a job that could not even begin; a directory in which one has begun is left alone."""
    path = Path(cfg.run_dir)
    with suppress(OSError, RunInUseError), lock_directory(path):
        if not (path / "result.json").exists() or not Result.load(path / "result.json").config_hash:
            write_text(path / "config.yaml", OmegaConf.to_yaml(cfg))
            Run(path, new_result(cfg, overrides)).store("failed", error_message(error))


def new_result(cfg: DictConfig, overrides: Sequence[str] = ()) -> Result:
    """Of a run that has just begun."""
    return Result(
        "running",
        name=cfg.name,
        experiment=cfg.experiment,
        seed=cfg.seed,
        overrides=list(overrides),
        git_commit=git_commit(),
        versions=versions(),
        machine=machine(),
        val_split=cfg.data.val_split,
        split_seed=cfg.data.split_seed,
        fold=cfg.data.fold,
    )


def global_rank() -> int:
    """This process's rank in distributed training, known before torch is imported; 0 outside of it."""
    return int(
        next(
            (
                os.environ[key]
                for key in ("RANK", "SLURM_PROCID", "LOCAL_RANK")
                if key in os.environ
            ),
            0,
        )
    )


@cache
def versions() -> str:
    """Versions of what decides about numbers."""
    packages = [
        "torch",
        "torchvision",
        "pytorch-lightning",
        "hydra-core",
        "numpy",
        "scikit-learn",
        "sign-cnn",
    ]
    return ", ".join(
        [f"python {platform.python_version()}", *(f"{name} {version(name)}" for name in packages)]
    )


@cache
def machine() -> str:
    """System, processor and number of cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.*)", cpuinfo.read_text() if cpuinfo.exists() else "")
    processor = found[1] if found else platform.processor() or "unknown processor"
    return f"{platform.system()} {platform.machine()}, {processor}, {cores} cores"


@cache
def git_commit() -> str | None:
    """Commit of this code, with `-dirty` if it was changed since; None outside a clone."""
    command = [
        "git",
        "-C",
        str(Path(__file__).parent),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--match=",
    ]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
