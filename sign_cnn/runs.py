"""The directory of a run: who may write to it, what it holds, and the one rule of resuming.

The same command in the same directory returns a finished result at once and continues a half-done
run. Another experiment is refused, unless it only has more epochs, or the unfinished one left no
checkpoint. A run that says `running` while no process holds its lock was killed, and is continued.
"""

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import joblib
import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf

from sign_cnn.config import experiment_hash, experiment_settings
from sign_cnn.errors import RunInUseError, UserError, error_message
from sign_cnn.files import atomic_write, explain_os_errors, remove_temporary, write_text

if TYPE_CHECKING:  # the data modules import torch
    from sign_cnn.data.base import DataIdentity, Rows

Status = Literal["running", "interrupted", "failed", "done"]
PACKAGES = (
    *("torch", "torchvision", "pytorch-lightning", "hydra-core", "numpy", "scikit-learn"),
    "sign-cnn",
)


@contextmanager
def explain_read_errors(path: Path) -> Iterator[None]:
    """Turn whatever is raised while a file of a run is read into a `UserError` that names it.

    Yields:
        Nothing.

    Raises:
        UserError: If the file is missing or damaged.
    """
    try:
        yield
    except Exception as error:  # those of numpy, zipfile, PyYAML and OmegaConf have no common base
        way_out = "name the directory of a finished run, or remove the file and run again"
        raise UserError(f"{path} cannot be read ({error_message(error)}): {way_out}") from None


@dataclass
class Result:
    """The fields of `result.json`, one flat row; None means not known, or not asked for."""

    status: Status
    error: str | None = None
    name: str = ""  # of the run's directory
    experiment: str | None = None  # name of the recipe
    seed: int = 0
    overrides: list[str] = field(default_factory=list)  # of the command line
    config_hash: str = ""  # 16 hex digits
    data_fingerprint: str = ""  # sha256, 64 hex digits
    data_kind: str = ""  # as the data module says, such as official, synthetic or custom
    data_caveat: str = ""  # a sentence of the data module on what test scores are worth
    class_names: list[str] = field(default_factory=list)  # in the order of the logits
    git_commit: str | None = None
    versions: str = ""
    machine: str = ""
    device: str | None = None
    num_params: int | None = None  # trainable parameters
    macs: int | None = None  # multiply-accumulates of one forward pass of one input
    epochs: int | None = None  # trained in all, interruptions included
    fit_seconds: float | None = None  # training, validation and every checkpoint but the last
    train_images_per_second: float | None = None  # while training, without validation
    best_epoch: int | None = None  # counted from 1
    val_split: str | None = None  # what was really done
    split_seed: int | None = None
    fold: int | None = None  # counted from 0
    left_out: str | None = None  # name of the source or person that was left out, if it is one
    val_acc: float | None = None  # 0..1, share of rows right; as all below, of the best checkpoint
    val_loss: float | None = None  # nats
    val_photos: int | None = None
    val_photos_wrong: int | None = None  # most of whose variants are wrong
    test_acc: float | None = None  # 0..1
    test_loss: float | None = None  # nats
    test_errors: int | None = None  # rows wrong
    test_photos: int | None = None
    test_photos_wrong: int | None = None
    test_photos_with_error: int | None = None
    test_acc_ci95: list[float] | None = None  # 0..1, by photo
    test_clean_acc: float | None = None  # 0..1, of photos without a look-alike in training
    test_clean_acc_ci95: list[float] | None = None  # 0..1, by photo
    test_clean_photos: int | None = None
    test_clean_photos_wrong: int | None = None

    def save(self, path: Path) -> None:
        """Write the JSON file atomically."""
        write_text(path, json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return a stored result, without the fields that are unknown here.

        Raises:
            UserError: If the file is missing or damaged.
        """
        with explain_read_errors(path):
            stored = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{key.name: stored[key.name] for key in fields(cls) if key.name in stored})


@dataclass(frozen=True)
class Predictions:
    """The logits of scored rows; one entry per row in arrays of equal length."""

    split: NDArray[np.str_]  # "val" or "test"
    row: NDArray[np.int64]  # of the training or test set, from 0
    photo: NDArray[np.int64]  # rows of a split with the same number show the same photo
    label: NDArray[np.int64]  # class index
    logits: NDArray[np.floating[Any]]  # (N, classes); stored as float16
    similarity: NDArray[np.float32]  # -1..1, to the nearest training photo of its class, or NaN

    def for_split(self, split: str) -> Self:
        """Return the rows of one split in file order; there may be none."""
        index = np.flatnonzero(self.split == split)
        return self.take(index[np.argsort(self.row[index], kind="stable")])

    def take(self, index: NDArray[Any]) -> Self:
        """Return some of the rows, by mask or by number."""
        return type(self)(*(array[index] for array in vars(self).values()))

    @classmethod
    def from_rows(
        cls, split: str, rows: "Rows", index: NDArray[np.int64], logits: NDArray[np.float32]
    ) -> Self:
        """Return the predictions of the rows `index`, int64 (N,), with logits (N, classes)."""
        facts = (rows.photos[index], rows.labels[index], logits, rows.similarity[index])
        return cls(np.full(len(index), split), index, *facts)

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Return several of them as one."""
        columns = zip(*(vars(part).values() for part in parts), strict=True)
        return cls(*map(np.concatenate, columns))

    @property
    def predicted(self) -> NDArray[np.int64]:
        return np.asarray(self.logits.argmax(axis=1))

    @property
    def correct(self) -> NDArray[np.bool_]:
        return np.equal(self.predicted, self.label)

    def save(self, path: Path) -> None:
        """Write a compressed .npz file atomically.

        The largest logit of each row is subtracted, which changes no probability: float16 is exact
        enough near 0, and would make ties of large logits that differ.
        """
        logits = self.logits - self.logits.max(axis=1, keepdims=True)
        logits = logits.clip(np.finfo(np.float16).min, 0).astype(np.float16)
        with atomic_write(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **{**vars(self), "logits": logits})

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return what `save` wrote.

        Raises:
            UserError: If the file is missing or damaged.
        """
        with (
            explain_read_errors(path),
            path.open("rb") as file,
            np.load(file, allow_pickle=False) as stored,
        ):
            return cls(*(stored[item.name] for item in fields(cls)))


@dataclass
class Run:
    """The paths of one run, and its result so far."""

    path: Path
    result: Result
    trust: Sequence[str] = ()  # packages that its network may come from, besides our own
    settings: dict[str, Any] = field(default_factory=dict)  # flat, as `experiment_settings` has it

    @property
    def best_checkpoint(self) -> Path:
        """The best epoch's by `monitor`; without one, the last epoch's."""
        return self.path / "checkpoints" / "best.ckpt"

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

    def store(self, status: Status, error: str | None = None, **values: Any) -> None:
        """Update fields of the result and write `result.json`; only global rank 0 writes."""
        self.result = replace(self.result, status=status, error=error, **values)
        if global_rank() == 0:
            self.result.save(self.path / "result.json")


def load_run(path: Path, trust: Sequence[str] = ()) -> Run:
    """Return a finished run, whose network may come from the packages `trust`.

    Raises:
        UserError: If there is no run, or it is not done.
    """
    run = Run(path, result := Result.load(path / "result.json"), trust)
    if not run.finished:
        status = f"{result.status} ({result.error})" if result.error else result.status
        raise UserError(f"the run in {path} is not done but {status}: start it again to finish it")
    return run


def load_config(path: Path) -> DictConfig:
    """Return the composed configuration in the directory of a run.

    Raises:
        UserError: If there is none, or it cannot be read.
    """
    with explain_read_errors(path / "config.yaml"):
        return DictConfig(OmegaConf.load(path / "config.yaml"))


def new_result(cfg: DictConfig, identity: "DataIdentity", overrides: Sequence[str] = ()) -> Result:
    """Return the result that a run begins with.

    Args:
        cfg: The composed configuration.
        identity: Fingerprint and kind of the data.
        overrides: Overrides of the command line, for the record.
    """
    settings = experiment_settings(cfg)
    start = load_run(Path(cfg.init_from)).result.config_hash if cfg.init_from else None
    return Result(
        "running",
        name=Path(cfg.run_dir).resolve().name,
        experiment=cfg.experiment,
        seed=cfg.seed,
        overrides=list(overrides),
        config_hash=experiment_hash(settings, identity.fingerprint, start),
        data_fingerprint=identity.fingerprint,
        data_kind=identity.kind,
        data_caveat=identity.caveat,
        git_commit=git_commit(),
        versions=versions(),
        machine=machine(),
        split_seed=settings.get("data.split_seed"),
        fold=settings.get("data.fold"),
    )


@contextmanager
def open_run(
    cfg: DictConfig, identity: "DataIdentity", overrides: Sequence[str] = ()
) -> Iterator[Run]:
    """Lock `cfg.run_dir` for the block, and record how the block ends.

    Args:
        cfg: The composed configuration.
        identity: Fingerprint and kind of the data.
        overrides: Overrides of the command line, for the record.

    Yields:
        The run; if it is `finished`, there is nothing left to do.

    Raises:
        UserError: If the directory is in use, holds another experiment, or cannot be written to.
    """
    path, settings = Path(cfg.run_dir), experiment_settings(cfg)
    new = new_result(cfg, identity, overrides)
    if global_rank() > 0:  # every rank must know whether there is anything left to do
        yield Run(path, finished_result(path, new, settings, cfg.test) or new, settings=settings)
        return
    with explain_os_errors(path), lock_directory(path):
        stored = finished_result(path, new, settings, cfg.test)
        run = Run(path, stored or new, settings=settings)
        if stored:
            yield run
            return
        for folder in (path, path / "checkpoints", path / "figures"):
            remove_temporary(folder)
        if not (path / "result.json").exists():  # a checkpoint would be of an unknown experiment
            (path / "checkpoints" / "last.ckpt").unlink(missing_ok=True)
        write_text(path / "config.yaml", OmegaConf.to_yaml(cfg, resolve=True))
        run.store("running")
        try:
            yield run
        except BaseException as error:
            failed = isinstance(error, Exception)  # unlike Ctrl-C and SIGTERM
            with suppress(OSError):  # a full disk may be what failed
                run.store(*(("failed", error_message(error)) if failed else ("interrupted",)))
            raise


@contextmanager
def lock_directory(path: Path) -> Iterator[None]:
    """Hold the lock of a directory, which the system frees however the process ends.

    Yields:
        Nothing.

    Raises:
        RunInUseError: If another process holds it.
    """
    path.mkdir(parents=True, exist_ok=True)
    try:
        # Not at once: `is_locked` of another process takes the lock for an instant.
        with FileLock(path / ".lock").acquire(timeout=0.5, poll_interval=0.05):
            yield
    except Timeout:
        raise RunInUseError(f"another process is at work in {path}: choose another name") from None


def is_locked(path: Path) -> bool:
    """Return whether a process is at work in the directory of a run."""
    if not (path / ".lock").exists():
        return False
    try:
        with FileLock(path / ".lock", timeout=0):
            return False
    except (Timeout, OSError):  # OSError: a lock that only others may open
        return True


def finished_result(path: Path, new: Result, settings: dict[str, Any], test: bool) -> Result | None:
    """Return the result of a directory if nothing is left to do; None starts or continues a run.

    Args:
        path: The directory.
        new: The result to begin with, which has the hashes of configuration and data.
        settings: What makes the experiment.
        test: Whether the test split is to be scored.

    Returns:
        The stored result, or None.

    Raises:
        UserError: If the directory holds another experiment.
    """
    if not (path / "result.json").exists():
        return None
    stored = Result.load(path / "result.json")
    if stored.config_hash == new.config_hash:
        is_complete = stored.status == "done" and (load_config(path).test or not test)
        return stored if is_complete else None
    if stored.status == "done" or (path / "checkpoints" / "last.ckpt").exists():
        check_continuation(path, stored, new, settings)
    return None


def check_continuation(path: Path, stored: Result, new: Result, settings: dict[str, Any]) -> None:
    """Check that an experiment may continue the other one in its directory.

    It may if it only has more epochs, and no learning rate schedule, which would have been laid out
    for the old length.

    Args:
        path: The directory.
        stored: The result there.
        new: The result to begin with.
        settings: What makes the new experiment.

    Raises:
        UserError: If it may not.
    """
    before, now = experiment_settings(load_config(path)), dict(settings)
    before["data"], now["data"] = stored.data_fingerprint[:12], new.data_fingerprint[:12]
    keys = [key for key in before | now if before.get(key) != now.get(key)]
    is_longer = keys == ["trainer.max_epochs"] and now[keys[0]] > before[keys[0]]
    if is_longer and not now.get("scheduler", True):  # {} or None; else it has keys of its own
        return
    pairs = (f"{key}={now.get(key)} (there: {before.get(key)})" for key in keys)
    differences = ", ".join(pairs) or "the run that init_from names"
    way_out = f"choose another name; init_from='{path}' starts from its weights"
    raise UserError(f"{path} holds another experiment, which differs in {differences}: {way_out}")


def global_rank() -> int:
    """Return this process's rank in distributed training, before torch is imported; else 0."""
    ranks = (os.environ.get(key) for key in ("RANK", "SLURM_PROCID", "LOCAL_RANK"))
    return int(next(filter(None, ranks), 0))


@cache
def versions() -> str:
    """Return the versions of what numbers depend on."""
    found = [f"python {platform.python_version()}"]
    for name in PACKAGES:
        with suppress(PackageNotFoundError):  # this code may be a clone that is not installed
            found.append(f"{name} {version(name)}")
    return ", ".join(found)


@cache
def machine() -> str:
    """Return system, processor and the number of cores that this process may use."""
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.*)", cpuinfo.read_text() if cpuinfo.exists() else "")
    processor = found[1] if found else platform.processor() or "unknown processor"
    return f"{platform.system()} {platform.machine()}, {processor}, {joblib.cpu_count()} cores"


@cache
def git_commit() -> str | None:
    """Return the commit of this code, with `-dirty` if it was changed; None outside of a clone."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--match="]
    place, quiet = Path(__file__).parent, subprocess.DEVNULL
    try:
        return subprocess.check_output(command, cwd=place, stderr=quiet, text=True).strip()
    except (OSError, subprocess.SubprocessError):
        return None
