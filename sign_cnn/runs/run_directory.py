"""A run's directory: what lies where, who may write, and the one rule of resuming.

The same command into the same directory returns a finished result, goes on with a half-done run, and is refused if it
is another experiment. A run that says `running` while nobody holds its lock was killed, and goes on.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from sign_cnn.config import Config, config_hash, identity, typed
from sign_cnn.console import FILE_ONLY
from sign_cnn.errors import ConfigError, UserError
from sign_cnn.files import explained, sweep_temporary, write_text
from sign_cnn.runs import plain_yaml, results
from sign_cnn.runs.ownership import global_rank, held
from sign_cnn.runs.results import Result

log = logging.getLogger(__name__)


@dataclass
class RunDirectory:
    """Paths of one run, and its result so far."""

    path: Path
    result: Result

    @property
    def checkpoints(self) -> Path:
        """Folder of best.ckpt and last.ckpt."""
        return self.path / "checkpoints"

    @property
    def best_checkpoint(self) -> Path:
        """Best by validation; the last one without a validation split."""
        return self.checkpoints / "best.ckpt"

    @property
    def last_checkpoint(self) -> Path | None:
        """Where to go on from, if there is anything."""
        path = self.checkpoints / "last.ckpt"
        return path if path.exists() else None

    @property
    def metrics(self) -> Path:
        """One row an epoch."""
        return self.path / "metrics.csv"

    @property
    def predictions(self) -> Path:
        """Logits of every validation row, and of every test row if scored."""
        return self.path / "predictions.npz"

    @property
    def figures(self) -> Path:
        """Folder of PNG files."""
        return self.path / "figures"

    @property
    def finished(self) -> bool:
        """Whether the result is there."""
        return self.result.status == "done"

    def finish(self, **scores: Any) -> Result:
        """Completes the result with `scores` and stores it as done."""
        self._store("done", **scores)
        return self.result

    def _store(self, status: results.Status, error: str | None = None, **scores: Any) -> None:
        result = replace(self.result, status=status, error=error, **scores)
        if global_rank() == 0:
            result.write(self.path / "result.json")
        self.result = result


@contextmanager
def opened(
    path: Path, config: Config, fingerprint: str, kind: str, overrides: Sequence[str] = ()
) -> Iterator[RunDirectory]:
    """Takes a run's directory for the length of the block, and records how the block ended.

    In distributed training, only global rank 0 touches the directory.

    Args:
        path: The directory; made when missing.
        config: What is to run there.
        fingerprint: Of the data.
        kind: Of the data, as in `SignDataset.kind`.
        overrides: Of the command line, for the record.

    Raises:
        InUseError: Another process is at work there.
        UserError: It holds another experiment, or it cannot be written to.
    """
    fresh = _fresh_result(config, overrides)
    fresh.config_hash, fresh.data_fingerprint, fresh.data_kind = config_hash(config, fingerprint), fingerprint, kind
    if global_rank() > 0:
        yield RunDirectory(path, fresh)
        return
    with explained(path), _made_and_held(path):
        stored = stored_result(path, config, fingerprint)
        if stored and stored.status == "done" and (stored.test_acc is not None or not config.test):
            yield RunDirectory(path, stored)
            return
        with _log_file(path / "train.log"):
            yield from _recorded(RunDirectory(path, fresh), config)


def stored_config(path: Path) -> Config:
    """The configuration that a run's directory was made with.

    Raises:
        UserError: There is none, or it cannot be read.
    """
    try:
        cfg = plain_yaml.load(path / "config.yaml")
        cfg.pop("defaults", None)
        return typed(cfg)
    except FileNotFoundError:
        raise UserError(f"{path} holds no config.yaml: it is not the directory of a run") from None
    except (ConfigError, ValueError) as error:
        raise UserError(f"{path / 'config.yaml'} cannot be read: {error}") from None


def stored_result(path: Path, config: Config, fingerprint: str) -> Result | None:
    """The result that is there, if it is of the same experiment; None also where it stopped in its first epoch.

    Raises:
        UserError: It is of another experiment; the message names the settings that differ.
    """
    if not (path / "result.json").exists():
        return None
    stored = Result.read(path / "result.json")
    if stored.config_hash == config_hash(config, fingerprint):
        return stored
    if stored.status in ("failed", "interrupted") and not RunDirectory(path, stored).last_checkpoint:
        return None
    before, now = identity(stored_config(path)), identity(config)
    differing = [f"{key}={_shown(now[key])} (there: {_shown(before[key])})" for key in now if now[key] != before[key]]
    if stored.data_fingerprint != fingerprint:
        differing.append(f"data {fingerprint[:12]} (there: {stored.data_fingerprint[:12]})")
    if not differing:
        return stored  # of a version without some of today's settings, which are at their defaults
    raise UserError(
        f"{path} holds another experiment, which differs in {', '.join(differing)}: choose another name, "
        f"or train on from its weights with init_from={path} and another name"
    )


def _shown(value: Any) -> str:
    """As on the command line: `null`, `true`, `[24, 48]`."""
    return value if isinstance(value, str) else json.dumps(value)


def record_failure(path: Path, config: Config, overrides: Sequence[str], error: Exception) -> None:
    """Records a run that could not even begin; leaves a directory alone in which one has."""
    with _made_and_held(path):
        if (path / "result.json").exists() and Result.read(path / "result.json").config_hash:
            return
        _write_config(path, config)
        RunDirectory(path, _fresh_result(config, overrides))._store("failed", _sentence(error))


@contextmanager
def _made_and_held(path: Path) -> Iterator[None]:
    path.mkdir(parents=True, exist_ok=True)
    with held(path):
        yield


def _prepare(run: RunDirectory, config: Config) -> None:
    """Leaves the directory as if the run had just been started, or had stopped after its last checkpoint."""
    for folder in (run.path, run.checkpoints, run.figures):
        sweep_temporary(folder)
    _write_config(run.path, config)
    run._store("running")


def _write_config(path: Path, config: Config) -> None:
    # With these defaults the file composes again: `--config-dir RUN --config-name config name=again`.
    text = OmegaConf.to_yaml(OmegaConf.create({"defaults": ["train", "_self_"], **asdict(config)}))
    write_text(path / "config.yaml", text)


def _fresh_result(config: Config, overrides: Sequence[str]) -> Result:
    return Result(
        "running", name=config.name, experiment=config.experiment, seed=config.seed, overrides=list(overrides),
        git_commit=results.git_commit(), versions=results.versions(), machine=results.machine(),
        val_split=config.data.val_split, split_seed=config.data.split_seed, fold=config.data.fold,
    )  # fmt: skip


def _recorded(run: RunDirectory, config: Config) -> Iterator[RunDirectory]:
    try:
        with explained(run.path):
            _prepare(run, config)
            yield run
    except Exception as error:
        log.error("failed", exc_info=error, extra=FILE_ONLY)
        with suppress(OSError):  # a full disk may be what failed
            run._store("failed", _sentence(error))
        raise
    except BaseException:  # Ctrl-C, SIGTERM
        if not run.finished and (run.path / "result.json").exists():
            with suppress(OSError):
                run._store("interrupted")
        raise


def _sentence(error: Exception) -> str:
    """What a result says of an error: the problems of a configuration, else the first line."""
    if isinstance(error, ConfigError):
        return "; ".join(error.problems)
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


class _LogHandler(logging.FileHandler):
    """A log that a full disk cuts short, without a word: what stops the run is said once, and not here."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (logging's name)
        """Goes on."""


@contextmanager
def _log_file(path: Path) -> Iterator[None]:
    """Copies what is logged to a file, errors with their traceback."""
    handler = _LogHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        with suppress(OSError):
            handler.close()
