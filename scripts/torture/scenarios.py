"""What is tormented: each command of the project, on a few drawn hands, in a folder of its own."""

import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

from scripts.torture.children import Command, Fork, Surroundings, num_operations
from scripts.torture.drawing import SIZE

DRAWN = (
    "data=synthetic", f"data.synthetic.train_photographs={SIZE.train_photographs}",
    f"data.synthetic.test_photographs={SIZE.test_photographs}", f"data.synthetic.variants={SIZE.variants}",
)  # fmt: skip
SMALL = (
    "data.folds=4", "data.batch_size=64", "augment=full", "model.width=4", "model.depth=2", "model.kernel_size=3",
    "model.dense_units=[16]", "model.dropout=0.2", "trainer.max_epochs=4", "trainer.threads=1",
)  # fmt: skip


def training(*overrides: str) -> Command:
    """A run, or with `-m` a sweep, of the small network on the small set."""
    return Command("sign_cnn.train", (*overrides, *DRAWN, *SMALL))


@dataclass(frozen=True)
class Scenario:
    """A command, and what lies in its folder before."""

    name: str
    command: Command
    after: str | None = None  # the scenario whose end is the beginning; none: an empty folder
    ends_as: str | None = None  # the scenario that ends the same; none: itself


JOBS = ("-m", "name=s", "model.depth=1,2", "seed=0,1")

SCENARIOS = {
    item.name: item
    for item in [
        Scenario("data", Command("scripts.torture.drawing")),
        Scenario("run", training("name=r", "figures=false", "logger=none"), after="data"),
        Scenario("run with figures", training("name=r"), after="data"),
        Scenario("run from nothing", training("name=r")),
        Scenario("sweep", training(*JOBS, "hydra/launcher=basic", "trainer.max_epochs=2", "logger=none"), after="data"),
        Scenario("evaluate", Command("sign_cnn.evaluate", ("outputs/runs/r",)), after="run"),
        Scenario("export", Command("sign_cnn.export", ("outputs/runs/r",)), after="run"),
        Scenario("summarize", Command("sign_cnn.summarize", ("outputs/sweeps/s",)), after="sweep"),
    ]
}

JOBLIB = Scenario(
    "joblib", training(*JOBS, "hydra/launcher=joblib", "trainer.max_epochs=2", "logger=none"), "data", "sweep"
)
"""The sweep again, with workers; only as a fresh process, since workers cannot be forked from a fork."""


@dataclass
class Bench:
    """The folder in which all is done, always the same one, and how each undisturbed command left it."""

    root: Path
    seconds: dict[str, float] = field(default_factory=dict)
    operations: dict[str, int] = field(default_factory=dict)

    @property
    def place(self) -> Path:
        """Where commands run."""
        return self.root / "place"

    @property
    def log(self) -> Path:
        """What the last one printed."""
        return self.root / "log.txt"

    @property
    def around(self) -> Surroundings:
        """With nothing special."""
        return Surroundings(self.place, self.log)

    def end(self, name: str) -> Path:
        """How an undisturbed command left the place."""
        return self.root / "ends" / name

    def prepare(self, scenario: Scenario) -> None:
        """Makes the place as the command is to find it."""
        shutil.rmtree(self.place, ignore_errors=True)
        if scenario.after is None:
            self.place.mkdir(parents=True)
            return
        if scenario.after not in self.seconds:
            self.undisturbed(SCENARIOS[scenario.after])
            shutil.rmtree(self.place)
        shutil.copytree(self.end(scenario.after), self.place)

    def undisturbed(self, scenario: Scenario) -> None:
        """Lets the command run to its end, once, and keeps what it leaves."""
        if scenario.name in self.seconds:
            return
        self.prepare(scenario)
        start = time.monotonic()
        code = Fork(scenario.command, self.around).wait(300)
        if code != 0:
            raise RuntimeError(f"{scenario.name} undisturbed: exit code {code}\n{self.log.read_text()}")
        self.seconds[scenario.name] = time.monotonic() - start
        self.operations[scenario.name] = num_operations(self.log)
        shutil.copytree(self.place, self.end(scenario.name))
