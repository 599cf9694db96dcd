"""Composing a job once: what a sweeper planned with is what the launcher runs, half the cost of a short job."""

from collections.abc import Sequence
from typing import Any

from omegaconf import DictConfig


class RememberingLoader:
    """Hydra's configuration loader, which hands out each job's configuration a second time without composing it anew.

    Workers in other processes get it empty, and compose their own.
    """

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._composed: dict[tuple[str, ...], DictConfig] = {}

    def planned(self, master: DictConfig, overrides: Sequence[str]) -> DictConfig:
        """A job's configuration, only to be read: the next one who asks for it gets the same object."""
        cfg: DictConfig = self._loader.load_sweep_config(master, list(overrides))
        self._composed[tuple(overrides)] = cfg
        return cfg

    def load_sweep_config(self, master_config: DictConfig, sweep_overrides: list[str]) -> DictConfig:
        """What was planned, once; then composed again."""
        if cfg := self._composed.pop(tuple(sweep_overrides), None):
            return cfg
        composed: DictConfig = self._loader.load_sweep_config(master_config, sweep_overrides)
        return composed

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_loader"], name)

    def __getstate__(self) -> dict[str, Any]:
        return {"_loader": self._loader, "_composed": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
