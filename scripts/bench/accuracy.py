"""Seconds of fit, validation included, until the test set is first scored at or above each threshold.

After each epoch the checkpoint that was just saved is scored on the test set, while the clock stands still. Only this
benchmark looks at the test set in every epoch; no recipe does, and none may be chosen by what it shows.
"""

import statistics
from dataclasses import asdict, dataclass, replace

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from scripts.bench import measurement
from scripts.bench.measurement import Report, Series, Sheet, Target, number, scratch
from scripts.bench.recipes import Options, composed, say
from sign_cnn.config import Config
from sign_cnn.data.datamodule import SignMNISTDataModule
from sign_cnn.models.classifier import SignClassifier
from sign_cnn.runs import run_directory
from sign_cnn.runs.run_directory import RunDirectory
from sign_cnn.training import fitting

THRESHOLDS = (0.963, 0.99, 0.995, 0.999)
"""The first is what the article reports for its tuned network."""


@dataclass
class Fit:
    """What one fit showed."""

    seconds: list[float]  # of fit, after each epoch
    accuracies: list[float]  # on test, after each epoch
    fit_seconds: float
    final: float  # accuracy on test of the checkpoint that the recipe chooses

    def reached(self, threshold: float) -> float | None:
        """Seconds to the first epoch at or above the threshold; None if there was none."""
        pairs = zip(self.seconds, self.accuracies, strict=True)
        return next((seconds for seconds, accuracy in pairs if accuracy >= threshold), None)


class TestWatch(Checkpoint):
    """Scores each epoch's checkpoint outside the clock. A `Checkpoint`, because Lightning runs those last."""

    def __init__(self, run: RunDirectory, data: SignMNISTDataModule) -> None:
        self.run = run
        self.data = data
        self.seconds: list[float] = []  # of fit, after each epoch
        self.accuracies: list[float] = []  # on test, after each epoch
        self.begun = measurement.clock()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adds an epoch."""
        stopped = measurement.clock()
        self.seconds.append(stopped - self.begun)
        assert self.run.last_checkpoint
        stored = torch.load(self.run.last_checkpoint, weights_only=True)
        if stored["epoch"] != trainer.current_epoch:
            raise RuntimeError(f"epoch {trainer.current_epoch} has no checkpoint: the last one is of {stored['epoch']}")
        with torch.random.fork_rng():
            self.accuracies.append(test_accuracy(SignClassifier.load(self.run.last_checkpoint), self.data))
        self.begun += measurement.clock() - stopped


def run(options: Options) -> Report:
    """Fits each recipe once for each seed, in turn."""
    recipes = options.recipes or ["article_tuned", "best", "speedrun"]
    seeds = options.seeds[:1] if options.quick else options.seeds
    report = Report("accuracy", "seconds of fit, validation included, to a test accuracy", {"seeds": seeds})
    fits: dict[str, list[Fit]] = {recipe: [] for recipe in recipes}
    for seed in seeds:
        for recipe in recipes:
            config = replace(composed(recipe, options.overrides), seed=seed)
            fits[recipe].append(one := fit(config))
            say(f"{recipe}, seed {seed}: {one.final:.2%} after {one.fit_seconds:.1f} s")
    for recipe, runs in fits.items():
        report.sheets.append(table(recipe, runs))
        report.series.append(Series(f"{recipe}: whole fit", "s", [one.fit_seconds for one in runs]))
        report.targets += targets(recipe, runs)
    report.details["fits"] = {recipe: [asdict(one) for one in runs] for recipe, runs in fits.items()}
    report.notes.append("Final accuracy is that of the checkpoint that the recipe chooses: its best one.")
    return report


def fit(config: Config) -> Fit:
    """One fit, watched."""
    fitting.prepare(config)
    data = fitting.make_data(config)
    with (
        scratch() as folder,
        run_directory.opened(folder / "run", config, data.dataset.fingerprint, data.dataset.kind) as run,
    ):
        model = fitting.make_model(config, data)
        trainer = fitting.make_trainer(config, run)
        watch = TestWatch(run, data)
        trainer.callbacks.append(watch)  # type: ignore[attr-defined]
        watch.begun = measurement.clock()
        trainer.fit(model, data, weights_only=True)
        whole = measurement.clock() - watch.begun
        final = test_accuracy(SignClassifier.load(run.best_checkpoint), data)
    return Fit(watch.seconds, watch.accuracies, whole, final)


@torch.inference_mode()
def test_accuracy(model: SignClassifier, data: SignMNISTDataModule) -> float:
    """Share of test rows right."""
    hits = [(model(batch.images).argmax(1) == batch.labels).sum() for batch in data.test_dataloader()]
    return float(torch.stack(hits).sum()) / len(data.dataset.test_labels)


def table(recipe: str, runs: list[Fit]) -> Sheet:
    """Seconds by threshold, and the final accuracy in the title."""
    rows = []
    for threshold in THRESHOLDS:
        times = [seconds for one in runs if (seconds := one.reached(threshold)) is not None]
        shown = (
            [number(statistics.median(times)), f"{number(min(times))} to {number(max(times))}"] if times else ["–"] * 2
        )
        rows.append([f"{100 * threshold:.1f} %", *shown, f"{len(times)} of {len(runs)}"])
    finals = [100 * one.final for one in runs]
    spread = f" ± {statistics.stdev(finals):.2f}" if len(finals) > 1 else ""
    title = f"{recipe}: final test accuracy {statistics.mean(finals):.2f}{spread} %, {len(finals)} seeds"
    return Sheet(title, ["test accuracy", "median seconds", "range", "seeds that reached it"], rows)


def targets(recipe: str, runs: list[Fit]) -> list[Target]:
    """What the two quick recipes should reach."""
    if recipe == "speedrun":
        final, slowest = statistics.mean(one.final for one in runs), max(one.fit_seconds for one in runs)
        return [
            Target("speedrun, mean final test accuracy in %", 100 * final, 99.5, at_least=True),
            Target("speedrun, slowest fit in s", slowest, 10, at_least=False),
        ]
    if recipe == "best":
        quick = sum((one.reached(0.999) or 31) <= 30 for one in runs)
        return [Target("best, seeds with 99.9 % within 30 s", quick, len(runs) // 2 + 1, at_least=True)]
    return []
