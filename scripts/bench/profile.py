"""Where the time of an epoch goes on the CPU, by torch's profiler, and how far it is from the arithmetic alone.

The profiled epoch is the second of a fit, checkpoints included. Operations are told apart by their names, augmentation
by the function that they run in. What no operation accounts for is Python, Lightning and the profiler itself; seconds
without the profiler are given beside it.
"""

import re
import statistics
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint
from torch.profiler import ProfilerActivity, profile, record_function

from scripts.bench.measurement import Report, Series, Sheet, clock, number, scratch
from scripts.bench.recipes import Options, composed, say
from sign_cnn.config import Config
from sign_cnn.data.augment import Augment
from sign_cnn.data.datamodule import SignMNISTDataModule
from sign_cnn.models import geometry
from sign_cnn.runs import run_directory
from sign_cnn.training import fitting
from sign_cnn.training.callbacks import EpochRecorder

AUGMENTATION = "augmentation"
KINDS = {
    AUGMENTATION: f"^{AUGMENTATION}$",
    "optimiser": r"_foreach_|_fused_|Optimizer\.zero_grad",
    "convolution, backward": r"conv\w*backward",
    "convolution, forward": r"aten::\w*conv",
    "normalisation": r"batch_?norm",
    "pooling": r"pool",
    "activation": r"relu|threshold|gelu|silu|clamp_min",
    "dropout": r"dropout|bernoulli",
    "dense layers": r"linear|addmm|aten::mm$|MmBackward",
    "loss and sums": r"softmax|nll|cross_entropy|argmax|aten::eq$",
}
"""Kind to a pattern of names; the first that fits counts. An operation that fits none is of its caller's kind."""

REST = "rest: Python, Lightning, data, checkpoints"


class ProfileSecondEpoch(Checkpoint):
    """Profiles the second epoch, if asked to, and ends the fit after it; a `Checkpoint`, which Lightning runs last."""

    def __init__(self, profiler: profile | None) -> None:
        self.profiler = profiler
        self.seconds = 0.0
        self._start = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begins."""
        if trainer.current_epoch == 1 and self.profiler:
            self.profiler.start()
        self._start = clock()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Ends."""
        self.seconds = clock() - self._start
        if trainer.current_epoch == 1:
            trainer.should_stop = True
            if self.profiler:
                self.profiler.stop()


def run(options: Options) -> Report:
    """Profiles each recipe."""
    report = Report("profile", "seconds of an epoch")
    for recipe in options.recipes or ["best", "speedrun"]:
        config = composed(recipe, options.overrides)
        fitting.prepare(config)
        data = fitting.make_data(config)
        say(f"{recipe}: two epochs without the profiler, two with it")
        with scratch() as folder:
            seconds, train_seconds, images = second_epoch(config, data, folder / "plain", None)
            with augmentation_marked():
                profiler = profile(activities=[ProfilerActivity.CPU])
                profiled, *_ = second_epoch(config, data, folder / "profiled", profiler)
        kinds = by_kind(profiler.events())  # type: ignore[no-untyped-call]
        kinds[REST] = profiled - sum(kinds.values())
        report.series.append(Series(f"{recipe}: one epoch", "s", [seconds]))
        report.series.append(Series(f"{recipe}: the same under the profiler", "s", [profiled]))
        report.sheets.append(shares(recipe, kinds, profiled))
        report.sheets.append(floor(recipe, config, images, train_seconds, options.quick))
        report.details[recipe] = {"kinds": kinds, "train_seconds": train_seconds}
    return report


def second_epoch(
    config: Config, data: SignMNISTDataModule, folder: Path, profiler: profile | None
) -> tuple[float, float, int]:
    """Seconds of a fit's second epoch, seconds of its training steps, and their images."""
    with run_directory.opened(folder, config, data.dataset.fingerprint, data.dataset.kind) as run:
        trainer = fitting.make_trainer(config, run)
        watch = ProfileSecondEpoch(profiler)
        trainer.callbacks.append(watch)  # type: ignore[attr-defined]
        trainer.fit(fitting.make_model(config, data), data, weights_only=True)
    recorder = next(item for item in trainer.checkpoint_callbacks if isinstance(item, EpochRecorder))
    return watch.seconds, recorder.rows[-1]["train_seconds"], recorder.images // len(recorder.rows)


@contextmanager
def augmentation_marked() -> Iterator[None]:
    """Within the block, the profiler knows which operations are of the augmentation."""
    original = Augment.__call__

    def call(self: Augment, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        with record_function(AUGMENTATION):
            return original(self, images, draws)

    Augment.__call__ = call  # type: ignore[method-assign]
    try:
        yield
    finally:
        Augment.__call__ = original  # type: ignore[method-assign]


def by_kind(events: Iterable[Any]) -> dict[str, float]:
    """Seconds of each kind, each operation without those that it calls."""
    seconds = dict.fromkeys(KINDS, 0.0)
    for event in events:
        if found := kind_of(event):
            seconds[found] += event.self_cpu_time_total / 1e6
    return seconds


def kind_of(event: Any) -> str | None:
    """The kind of an operation; None for what belongs to the rest."""
    own, node = None, event
    while node is not None:
        found = next((kind for kind, pattern in KINDS.items() if re.search(pattern, node.name, re.IGNORECASE)), None)
        if found == AUGMENTATION:
            return found  # whatever it calls
        own, node = own or found, node.cpu_parent
    return own


def shares(recipe: str, kinds: dict[str, float], total: float) -> Sheet:
    """Seconds and shares, the largest first."""
    ordered = sorted(kinds.items(), key=lambda item: -item[1])
    rows = [[kind, number(seconds), f"{seconds / total:.0%}"] for kind, seconds in ordered if seconds]
    return Sheet(f"{recipe}: one epoch under the profiler", ["", "seconds", "share"], rows)


def floor(recipe: str, config: Config, images: int, train_seconds: float, quick: bool) -> Sheet:
    """The time that the multiply-adds of an epoch would take at the speed of large matrix products."""
    shape = geometry.shape(config.model)
    operations = 6 * shape.macs * images  # a multiplication and an addition each; backward takes two more such passes
    dtypes = [torch.float32] + ([torch.bfloat16] if config.trainer.precision == "bf16-mixed" else [])
    rows = []
    for dtype in dtypes:
        rate = matmul_rate(dtype, 256 if quick else 2048)
        least = operations / rate
        cells = [f"{rate / 1e9:.0f} G/s", f"{operations / 1e9:,.0f} G", number(least), number(train_seconds)]
        rows.append([str(dtype).removeprefix("torch."), *cells, f"{train_seconds / least:.1f}"])
    columns = ["type", "matrix product", "operations", "floor, s", "training steps, s", "times the floor"]
    return Sheet(
        f"{recipe}: distance to the arithmetic of {shape.macs / 1e6:.2f} M multiply-adds an image", columns, rows
    )


def matmul_rate(dtype: torch.dtype, size: int, repeats: int = 9) -> float:
    """Operations a second of a product of two square matrices: the median of some."""
    a, b = (torch.rand(size, size).to(dtype) for _ in range(2))
    torch.mm(a, b)
    rates = []
    for _ in range(repeats):
        start = clock()
        torch.mm(a, b)
        rates.append(2 * size**3 / (clock() - start))
    return statistics.median(rates)
