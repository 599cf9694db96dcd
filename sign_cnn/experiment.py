"""What is checked of a composed configuration, and what makes two runs the same experiment."""

import hashlib
import json
from typing import Any

from omegaconf import DictConfig, OmegaConf

from sign_cnn.config import explain_settings, setting_problems
from sign_cnn.errors import ConfigError

NOT_PART_OF_EXPERIMENT = {
    *("name", "run_dir", "experiment", "test", "figures", "dry_run", "threads", "compile"),
    *("logger", "trusted_packages", "data.source", "data.root"),
    *("data.download", "data.cache_dir", "data.synthetic", "data.eval_batch_size"),
    *("trainer.accelerator", "trainer.strategy", "trainer.deterministic", "trainer.plugins"),
    *("trainer.enable_progress_bar", "trainer.enable_model_summary", "trainer.log_every_n_steps"),
    "callbacks.image_grid",
}
"""What may differ between two runs of one experiment; data are known by their fingerprint."""


def validate(cfg: DictConfig) -> None:
    """Check ranges, names and contradictions, without torch.

    Raises:
        ConfigError: With every problem found.
    """
    callbacks, problems = cfg.callbacks or {}, list(setting_problems(cfg))
    if missing := [key for key in ("best_checkpoint", "last_checkpoint") if not callbacks.get(key)]:
        problems.append(f"callbacks need {' and '.join(missing)}: choose callbacks=[default,…]")
    if cfg.data.get("val_split") == "none":
        stopping = callbacks.get("early_stopping") or {}
        wanted = {"monitor": cfg.monitor, "callbacks.early_stopping": stopping.get("monitor")}
        needy = [key for key, metric in wanted.items() if str(metric).startswith("val/")]
        none = "needs validation rows: data.val_split=none has none"
        problems += [f"{key} {none}" for key in needy]
    if flags := [flag for flag in ("fast_dev_run", "overfit_batches") if cfg.trainer.get(flag)]:
        problems.append(f"trainer.{flags[0]} is not supported: use trainer=debug")
    if not isinstance(epochs := cfg.trainer.max_epochs, int) or epochs < 1:
        problems.append(f"trainer.max_epochs={epochs} must be a whole number of at least 1")
    if problems:
        raise ConfigError(problems)


def experiment_settings(cfg: DictConfig) -> dict[str, Any]:
    """Return what makes two runs the same experiment, flat: `{"model.depth": 3, …}`."""
    with explain_settings("settings"):
        settings = flatten(OmegaConf.to_container(cfg, resolve=True))
    within = tuple(f"{key}." for key in NOT_PART_OF_EXPERIMENT)
    return {key: x for key, x in settings.items() if not f"{key}.".startswith(within)}


def experiment_hash(settings: dict[str, Any], *fingerprints: str | None) -> str:
    """Return 16 hex digits that two runs share if they are one experiment.

    Args:
        settings: Result of `experiment_settings`.
        fingerprints: What else a run depends on: its data, and the run that it starts from.
    """
    text = json.dumps([settings, *fingerprints], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def flatten(node: Any, prefix: str = "") -> dict[str, Any]:
    """Return nested settings by dotted key; lists are values."""
    if not isinstance(node, dict) or not node:
        return {prefix.rstrip("."): node}
    parts = (flatten(value, f"{prefix}{key}.") for key, value in node.items())
    return {key: value for part in parts for key, value in part.items()}
