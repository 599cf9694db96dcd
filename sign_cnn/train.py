"""Trains one network: `python -m sign_cnn.train [override …]`; with `-m`, a sweep of them."""

import logging
import re
import shlex
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from hydra.utils import UNSAFE_DISABLE_EXECUTION_CHECKS, execution_whitelist, instantiate
from omegaconf import DictConfig, OmegaConf

from sign_cnn import config, sweeps
from sign_cnn.console import ConsoleHandler, print_line, print_table
from sign_cnn.data.dataset import data_fingerprint, describe_source
from sign_cnn.errors import ConfigError, RunInUseError, UserError, error_message, exit_on_user_error
from sign_cnn.reports.run import explain_scores, summarize_run
from sign_cnn.runs import Result, global_rank, open_run, record_failure

log = logging.getLogger(__name__)


def train(cfg: DictConfig, overrides: Sequence[str] = ()) -> Result:
    """Train, score and record one run in `cfg.run_dir`; returns the stored result at once if it is already there.

    Raises:
        UserError: The configuration or the data cannot work, or the directory holds another experiment.
    """
    logging.basicConfig(
        level=logging.INFO, format="%(message)s"
    )  # from Python; Hydra has set up its own before
    config.validate(cfg)
    cfg = cfg.copy()
    cfg.test, cfg.figures = (
        cfg.test is not False,
        cfg.figures is not False,
    )  # a single run is scored and drawn
    if cfg.data.name in config.POINTS:  # which have no test rows
        cfg.test = False
    if cfg.data.val_split == "none" or cfg.trainer.get("limit_val_batches") == 0:
        cfg.monitor = None  # without validation rows, the last epoch counts
    data = config.to_dataclass(config.DataConfig, cfg.data)
    fingerprint, kind = data_fingerprint(data)
    with open_run(cfg, fingerprint, kind, overrides) as run, _closing_wandb():
        log.info("data: %s", describe_source(data, kind))
        if run.finished:
            log.info("already done: %s", run.path)
            return run.result

        # Not before the run is known to be needed: torch and Lightning take seconds to import.
        with _postponing_scipy_signal():
            import pytorch_lightning as pl
        import torch
        from pytorch_lightning.loggers import TensorBoardLogger

        from sign_cnn.data.datamodule import SignMNISTDataModule
        from sign_cnn.models.classifier import SignClassifier
        from sign_cnn.training import EpochSeed, EpochTable, finish

        _silence_lightning()
        if cfg.threads:
            torch.set_num_threads(cfg.threads)
        pl.seed_everything(cfg.seed, verbose=False)
        # Deterministic mode overwrites every new tensor with NaN, to show reads of memory never written; without, a
        # step of a small network takes two thirds of the time, and results are as repeatable.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]

        with _explain_errors():
            datamodule = SignMNISTDataModule(data, config.augmentation(cfg), cfg.seed)
            datamodule.setup()
            network, loss, optimizer, scheduler = (
                OmegaConf.to_container(node, resolve=True) if node else None
                for node in (cfg.model, cfg.loss, cfg.optimizer, cfg.scheduler)
            )
            model = SignClassifier(
                network,
                loss,
                optimizer,
                scheduler,  # type: ignore[arg-type]
                pixel_mean=datamodule.pixel_mean,
                pixel_std=datamodule.pixel_std,
                per_image=data.normalize == "image",
                letters=data.letters,
                image_size=None if kind == "landmarks" else data.image_size,
            )
            if cfg.init_from:
                start = SignClassifier.load(Path(cfg.init_from, "checkpoints", "best.ckpt"))
                try:
                    model.network.load_state_dict(start.network.state_dict())
                except RuntimeError:
                    way_out = "has another network: give this run its model.* settings"
                    raise UserError(f"init_from={cfg.init_from} {way_out}") from None
            if cfg.compile:
                model.network.compile()  # in place: compiling the module would rename its weights
            epochs = EpochTable()
            callbacks = [epochs, EpochSeed(cfg.seed), *_instantiate_all("callbacks", cfg.callbacks)]
            loggers = _instantiate_all("logger", cfg.logger)
            with config.explain_settings("trainer"):
                bar = bool(cfg.callbacks.get("progress_bar")) and cfg.trainer.get(
                    "enable_progress_bar", True
                )
                more = {
                    "default_root_dir": cfg.run_dir,
                    "enable_progress_bar": bar,
                    "logger": loggers or False,
                }
                trainer: pl.Trainer = instantiate(
                    cfg.trainer, **more, callbacks=callbacks, _convert_="all"
                )
            if not run.last_checkpoint:
                for logger in loggers:
                    if not isinstance(logger, TensorBoardLogger):  # which needs the scores too
                        logger.log_hyperparams(config.experiment_settings(cfg))
            trainer.fit(model, datamodule, ckpt_path=run.last_checkpoint, weights_only=True)
        finish(cfg, run, trainer, epochs)
        return run.result


def main() -> None:
    """The command line."""
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        with exit_on_user_error():
            task()
    except SystemExit as stop:
        if isinstance(error := stop.__context__, ConfigCompositionException):
            _print_suggestion(str(error))  # Hydra has printed what is wrong by now
        raise


@hydra.main(
    config_path=config.CONFIG_DIR,
    config_name="train",
    execution_whitelist=UNSAFE_DISABLE_EXECUTION_CHECKS,
)
def task(cfg: DictConfig) -> float | None:
    """What Hydra calls; returns the validation accuracy, which a search maximises."""
    settings = HydraConfig.get()
    cfg.run_dir = settings.runtime.output_dir
    overrides: Any = OmegaConf.to_container(
        settings.overrides.task
    )  # as typed: a ${…} is of the config, not of these
    try:
        if settings.mode == RunMode.MULTIRUN:
            return _run_job(cfg, overrides)
        with exit_on_user_error():
            if study := settings.runtime.choices.get("sweep"):
                raise ConfigError([f"sweep={study} is a sweep: add -m"])
            return _run_single(cfg, overrides)
    finally:
        directory = Path(cfg.run_dir)
        if directory.is_dir() and not any(directory.iterdir()):
            directory.rmdir()


def _run_single(cfg: DictConfig, overrides: Sequence[str]) -> float | None:
    if cfg.dry_run:
        print_line(describe(cfg))
        return None
    if not sys.stdout.isatty():
        OmegaConf.update(cfg, "callbacks.progress_bar", None, force_add=True)
    try:
        result = train(cfg, overrides)
    except (KeyboardInterrupt, SystemExit):
        command = shlex.join(dict.fromkeys([*sys.argv[1:], f"name={cfg.name}"]))
        print(f"Interrupted. To continue: python -m sign_cnn.train {command}", file=sys.stderr)
        raise
    if global_rank() == 0:
        directory = Path(cfg.run_dir)
        shown = (
            directory.relative_to(Path.cwd()) if directory.is_relative_to(Path.cwd()) else directory
        )
        title = f"{result.experiment or result.name}, seed {result.seed}, {result.data_kind} data"
        print_table(summarize_run(result), title)
        print_line(
            f"{explain_scores(result)}\nResults: {shown}\nCurves: tensorboard --logdir {shown}".lstrip()
        )
    return result.val_acc


def _run_job(cfg: DictConfig, overrides: Sequence[str]) -> float | None:
    """One job of a sweep; a job that another process is at work on is left to it."""
    job = f"[{sweeps.job_number()}] {Path(cfg.run_dir).name}"
    if cfg.dry_run:
        print_line(f"{job}  {describe(cfg)}")
        return None
    cfg.name = Path(cfg.run_dir).name
    OmegaConf.update(cfg, "callbacks.progress_bar", None, force_add=True)
    cfg.test, cfg.figures = (
        bool(cfg.test),
        bool(cfg.figures),
    )  # a sweep selects, and leaves the test set alone
    cfg.data.download = False  # tried before the first job
    cfg.group = cfg.group or Path(cfg.run_dir).parent.name
    for handler in logging.getLogger().handlers:  # train.log still gets everything
        handler.setLevel(logging.WARNING if isinstance(handler, ConsoleHandler) else logging.NOTSET)
    try:
        result = train(cfg, overrides)
    except RunInUseError:
        print_line(f"{job}  left to another process")
        return None
    except Exception as error:
        if isinstance(error, UserError):
            record_failure(cfg, overrides, error)
        print_line(f"{job}  failed: {error_message(error)}", "red")
        raise
    accuracy = (
        "no validation split" if result.val_acc is None else f"val/acc {100 * result.val_acc:.2f} %"
    )
    print_line(f"{job}  {accuracy}, {result.fit_seconds:.1f} s  {sweeps.progress()}".rstrip())
    return result.val_acc


def describe(cfg: DictConfig) -> str:
    """Size of the network, or what is wrong with the configuration; for a dry run."""
    try:
        config.validate(cfg)
        from sign_cnn.models.classifier import SignClassifier

        _silence_lightning()
        with _explain_errors():
            network: Any = OmegaConf.to_container(cfg.model, resolve=True)
            pixels = None if cfg.data.name in config.POINTS else cfg.data.image_size
            model = SignClassifier(network, letters=cfg.data.letters, image_size=pixels)
            with config.explain_settings("optimizer"):
                instantiate(cfg.optimizer, _convert_="all")(model.parameters())
            with config.explain_settings("trainer"):
                instantiate(cfg.trainer, logger=False, _convert_="all")
    except ConfigError as error:
        return f"impossible: {error_message(error)}"
    done = Path(cfg.run_dir, "result.json")
    status = Result.load(done).status if done.exists() else "to do"
    size = f"{model.count_parameters():,} parameters, {model.count_macs() / 1e6:.2f} M MACs"
    return f"{size}, {cfg.trainer.max_epochs} epochs, {status}"


def _instantiate_all(group: str, nodes: Any) -> list[Any]:
    made = []
    for name, node in (nodes or {}).items():
        with config.explain_settings(f"{group}.{name}"):
            made += [instantiate(node, _convert_="all")] if node else []
    return made


@contextmanager
def _explain_errors() -> Iterator[None]:
    """Turn what Lightning says of wrong settings into a `ConfigError`, and its Ctrl-C into our own."""
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    try:
        with execution_whitelist(UNSAFE_DISABLE_EXECUTION_CHECKS):
            yield
    except MisconfigurationException as error:
        raise ConfigError([f"trainer: {' '.join(str(error).split())}"]) from error
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


@contextmanager
def _closing_wandb() -> Iterator[None]:
    """Close the run of W&B, as failed if it is; else WandbLogger logs the next run of this process into the same."""
    try:
        yield
    finally:
        if wandb := sys.modules.get("wandb"):
            wandb.finish(exit_code=int(sys.exc_info()[0] is not None))


@contextmanager
def _postponing_scipy_signal() -> Iterator[None]:
    """Spare Lightning's import a quarter: torchmetrics imports this to patch one name of it for an audio metric."""
    key, stub = "scipy.signal", ModuleType("scipy.signal")

    def load(name: str) -> Any:  # whoever needs another name gets the real module
        if name.startswith("__"):  # asked of all modules by inspect
            raise AttributeError(name)
        sys.modules.pop(key, None)
        return getattr(import_module(key), name)

    vars(stub).update(hamming=None, __getattr__=load)
    sys.modules.setdefault(key, stub)
    yield
    if sys.modules.get(key) is stub:
        del sys.modules[key]


def _silence_lightning() -> None:
    for name in ("pytorch_lightning", "lightning_fabric"):  # "GPU available: False, …"
        logging.getLogger(name).setLevel(logging.WARNING)
    # Worker processes would only copy what a batch already is: a slice of a tensor in memory.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings(
        "ignore", message="Total length of .* across ranks is zero"
    )  # without validation rows
    warnings.filterwarnings(
        "ignore", message="Checkpoint directory .* exists and is not empty"
    )  # a run that resumes
    # Lightning 2.6 against torch's next pytree: https://github.com/Lightning-AI/pytorch-lightning/issues/21326
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")


def _print_suggestion(message: str) -> None:
    """What somebody may have meant by an unknown key, or by an unknown choice of a group."""
    if not (problem := re.search("Could not (find|override) '([^']+)'", message)):
        return
    key = problem[2]
    if problem[1] == "find":
        group, _, choice = key.rpartition("/")
        found = [
            f"{group}={name}"
            for name in get_close_matches(choice, re.findall(r"\t(\w+)\n", message), n=1)
        ]
    else:
        with hydra.initialize_config_dir(config.CONFIG_DIR):
            found = config.suggest(key, hydra.compose("train", return_hydra_config=False))
    if found and key not in found:
        print(f"Did you mean {' or '.join(found[:3])}?", file=sys.stderr)


if __name__ == "__main__":
    # Under its own name, not as __main__: workers of a sweep import the task from where it says that it lives.
    import sign_cnn.train

    sign_cnn.train.main()
