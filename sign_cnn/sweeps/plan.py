"""The jobs of a sweep before they run: settings, directory, problems, and what is there already."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rich import get_console
from rich.table import Table
from rich.text import Text

from sign_cnn import checks
from sign_cnn.config import Config
from sign_cnn.data import source
from sign_cnn.errors import ConfigError, UserError
from sign_cnn.models import geometry
from sign_cnn.runs import run_directory
from sign_cnn.runs.results import Result, Status


@dataclass
class Job:
    """One run to be."""

    directory: Path
    config: Config
    overrides: list[str] = field(default_factory=list)  # that compose the configuration
    unknown: list[str] = field(default_factory=list)  # sentences about keys that are no settings

    @property
    def name(self) -> str:
        """Its directory's name, which says what is swept."""
        return self.directory.name

    @cached_property
    def problems(self) -> list[str]:
        """What makes it impossible, as sentences."""
        return [*self.unknown, *checks.problems(self.config)]

    @property
    def status(self) -> Status | None:
        """As its result file says; None where there is none to be read."""
        try:
            return Result.read(self.directory / "result.json").status
        except UserError:
            return None


def check_jobs(jobs: Sequence[Job]) -> None:
    """Refuses a sweep whose jobs cannot be told apart, or whose directory holds another sweep's.

    Raises:
        UserError: Names the jobs, or the settings that differ from what is there.
    """
    names = [job.name for job in jobs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError([f"two jobs of the sweep are both called {twice[0]}: sweep values that differ"])
    fingerprints: dict[str, str] = {}
    for job in jobs:
        if job.problems or not (job.directory / "result.json").exists():
            continue
        data = source.resolved(job.config.data)
        place = repr((data.name, data.root, data.synthetic_root, data.synthetic, data.cache_dir))
        if place not in fingerprints:
            fingerprints[place] = source.fingerprint(data)[0]
        run_directory.stored_result(job.directory, job.config, fingerprints[place])


def check_data(jobs: Sequence[Job]) -> None:
    """Refuses a sweep of which no job has data; where some have, the others fail on their own.

    Raises:
        UserError: Says how to get the data.
    """
    sets = {repr(job.config.data): job.config.data for job in jobs if not job.problems}
    errors = []
    for data in sets.values():
        try:
            source.fingerprint(source.resolved(data))
            return
        except UserError as error:
            errors.append(error)
    if errors:
        raise errors[0]


def show(jobs: Sequence[Job]) -> None:
    """Prints the jobs with their sizes, problems and state."""
    table = Table(title=f"{len(jobs)} job{'s' if len(jobs) != 1 else ''}, dry run", title_justify="left")
    table.add_column("job")
    table.add_column("parameters", justify="right")
    table.add_column("MACs", justify="right")
    table.add_column("state", min_width=9)
    for job in jobs:
        name = Text(job.name.replace(",", ", "))  # a narrow console breaks the line there
        if job.problems:
            table.add_row(name, "–", "–", Text("; ".join(job.problems)), style="red")
            continue
        shape = geometry.shape(job.config.model)
        state = {None: "to do", "running": "interrupted or running", "interrupted": "interrupted"}
        table.add_row(name, f"{shape.num_params:,}", f"{shape.macs / 1e6:.2f} M", state.get(job.status, job.status))
    get_console().print(table)
    possible = [job for job in jobs if not job.problems]
    epochs = sum(job.config.trainer.max_epochs for job in possible if job.status != "done")
    macs = sum(geometry.shape(job.config.model).macs * job.config.trainer.max_epochs for job in possible)
    get_console().print(
        f"{len(jobs) - len(possible)} impossible; {epochs} epochs to do; "
        f"{macs / 1e6:,.3g} M multiply-adds in all for each training image",
        highlight=False,
    )
