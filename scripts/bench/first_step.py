"""`python -m scripts.bench.first_step OVERRIDE …`: `sign_cnn.train` that ends once its first training step is done.

Nothing is imported earlier than `sign_cnn.train` would: the classifier is changed at the moment of its own import.
"""

import importlib.abc
import importlib.machinery
import importlib.util
import os
import runpy
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

SAYING = "first step done"


class WhenImported(importlib.abc.MetaPathFinder):
    """Calls a function with one module as soon as that has been imported."""

    def __init__(self, name: str, change: Callable[[ModuleType], None]) -> None:
        self.name = name
        self.change = change

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The usual spec of the module, whose loader then calls the function."""
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self.change(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def stop_at_second_step(module: ModuleType) -> None:
    """Ends the process when the second step is about to begin: the first is then whole, backward pass and all."""
    original = module.SignClassifier.training_step

    def training_step(self: Any, batch: Any, batch_idx: int) -> Any:
        if batch_idx:
            print(SAYING, flush=True)
            os._exit(0)
        return original(self, batch, batch_idx)

    module.SignClassifier.training_step = training_step


if __name__ == "__main__":
    sys.meta_path.insert(0, WhenImported("sign_cnn.models.classifier", stop_at_second_step))
    runpy.run_module("sign_cnn.train", run_name="__main__", alter_sys=True)
