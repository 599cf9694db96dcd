"""Train one network: `python -m sign_cnn.train [override …]`; with `-m`, a sweep of them."""

import logging
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from hydra.utils import UNSAFE_DISABLE_EXECUTION_CHECKS
from omegaconf import DictConfig, OmegaConf

from sign_cnn import resolvers  # noqa: F401  # conf/ refers to them
from sign_cnn.config import CONFIG_DIR, validate
from sign_cnn.console import ConsoleHandler, print_line, print_table
from sign_cnn.errors import ConfigError, RunInUseError, error_message, exit_on_user_error
from sign_cnn.reports.run import explain_scores, summarize_run
from sign_cnn.runs import Result, global_rank, open_run

log = logging.getLogger(__name__)


def train(cfg: DictConfig, overrides: Sequence[str] = ()) -> Result:
    """Train, score and record one run in `cfg.run_dir`.

    Args:
        cfg: The composed configuration; it is not changed.
        overrides: Overrides of the command line, for the record.

    Returns:
        The result; the stored one, at once, if the run is already done.

    Raises:
        UserError: If the configuration or the data cannot work, or the directory holds another
            experiment.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # Hydra has set up its own
    if global_rank() > 0:
        logging.getLogger("sign_cnn").setLevel(logging.WARNING)  # rank 0 says it all
    validate(cfg)
    import torch  # not before: torch and Lightning take seconds to import
    from pytorch_lightning import seed_everything
    from pytorch_lightning.loggers import TensorBoardLogger

    from sign_cnn.build import build, lightning_context
    from sign_cnn.scoring import score_and_save

    if cfg.threads:
        torch.set_num_threads(cfg.threads)
    seed_everything(cfg.seed, verbose=False)
    # Deterministic mode overwrites every new tensor with NaN, to show reads of memory never
    # written; without, a step of a small network takes two thirds of the time, and results are as
    # repeatable.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    cfg = cfg.copy()  # so that what it refers to is looked up for this run alone
    datamodule, model, trainer = build(cfg)
    datamodule.prepare_data()
    with open_run(cfg, datamodule.identity, overrides) as run, lightning_context():
        log.info("data: %s", datamodule.identity.description)
        if run.finished:
            log.info("already done: %s", run.path)
            return run.result
        datamodule.setup()
        for logger in trainer.loggers if not run.last_checkpoint else ():
            if not isinstance(logger, TensorBoardLogger):  # which needs the scores too
                logger.log_hyperparams(run.settings)
        trainer.fit(model, datamodule, ckpt_path=run.last_checkpoint, weights_only=True)
        score_and_save(run, trainer, test=cfg.test, figures=cfg.figures)
    return run.result


def main() -> None:
    """Run the command line.

    Raises:
        SystemExit: With the exit code of Hydra, or of the first job that failed.
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with exit_on_user_error():
        task()


@hydra.main(
    config_path=CONFIG_DIR,
    config_name="train",
    execution_whitelist=UNSAFE_DISABLE_EXECUTION_CHECKS,
)
def task(cfg: DictConfig) -> float | None:
    """Run one job, as Hydra's entry point.

    Args:
        cfg: The composed configuration.

    Returns:
        The validation accuracy, 0..1, which a search maximizes; None without one.

    Raises:
        ConfigError: If the configuration is that of a sweep, but `-m` is missing; the command ends
            with it.
    """
    settings = HydraConfig.get()
    overrides: Any = OmegaConf.to_container(settings.overrides.task)  # as typed
    try:
        if settings.mode == RunMode.MULTIRUN:
            return _run_job(cfg, overrides)
        with exit_on_user_error():
            if study := settings.runtime.choices.get("sweep"):
                raise ConfigError([f"sweep={study} is a sweep: add -m"])
            return _run_single(cfg, overrides)
    finally:
        if wandb := sys.modules.get("wandb"):  # the next job gets a run of its own
            wandb.finish(exit_code=int(sys.exc_info()[0] is not None))
        directory = Path(cfg.run_dir)
        if directory.is_dir() and not any(directory.iterdir()):
            directory.rmdir()


def _run_single(cfg: DictConfig, overrides: Sequence[str]) -> float | None:
    if cfg.dry_run:
        from sign_cnn.build import build, describe

        _, model, _ = build(cfg)
        print_line(describe(cfg, model, Path(cfg.run_dir)))
        return None
    try:
        result = train(cfg, overrides)
    except (KeyboardInterrupt, SystemExit):
        command = shlex.join(dict.fromkeys([*sys.argv[1:], f"name={cfg.name}"]))
        print(f"Interrupted. To continue: python -m sign_cnn.train {command}", file=sys.stderr)
        raise
    if global_rank() == 0:
        directory = Path(cfg.run_dir)
        is_named = result.experiment in (None, result.name)
        recipe = "" if is_named else f" ({result.experiment})"
        title = f"{result.name}{recipe}, seed {result.seed}, {result.data_kind} data"
        print_table(summarize_run(result), title)
        curves = f"Curves: make tensorboard, or tensorboard --logdir {directory}"
        text = f"{explain_scores(result)}\nResults: {directory}\n{curves}"
        print_line(text.lstrip())
    return result.val_acc


def _run_job(cfg: DictConfig, overrides: Sequence[str]) -> float | None:
    """Run one job of a sweep; a job that another process is at work on is left to it.

    Args:
        cfg: The composed configuration of the job.
        overrides: Overrides of the command line, for the record.

    Returns:
        The validation accuracy, 0..1; None if there is none yet.
    """
    job = f"[{HydraConfig.get().job.num + 1}] {Path(cfg.run_dir).name}"
    for handler in logging.getLogger().handlers:  # train.log still gets everything
        handler.setLevel(logging.WARNING if isinstance(handler, ConsoleHandler) else logging.NOTSET)
    stored = Path(cfg.run_dir, "result.json")
    begun = stored.stat().st_mtime_ns if stored.exists() else 0
    try:
        result = train(cfg, overrides)
    except RunInUseError:
        print_line(f"{job}  left to another process")
        return None
    except Exception as error:
        print_line(f"{job}  failed: {error_message(error)}", "red")
        raise
    accuracy = "not validated" if result.val_acc is None else f"val/acc {result.val_acc:.2%}"
    was_done = stored.stat().st_mtime_ns == begun
    time = "done before" if was_done else f"{result.fit_seconds:.1f} s"
    print_line(f"{job}  {accuracy}, {time}")
    return result.val_acc


if __name__ == "__main__":
    # Under its own name, not as __main__: workers of a sweep import the task from where it says
    # that it lives.
    import sign_cnn.train

    sign_cnn.train.main()
