"""All that a summary has to say, before it is written or shown."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sign_cnn.errors import UserError
from sign_cnn.runs.study import Study
from sign_cnn.summary import words
from sign_cnn.summary.jobs import Job, read_job, read_names
from sign_cnn.summary.table import Configuration, configurations, factor_names

if TYPE_CHECKING:
    from sign_cnn.summary.effects import Effect, Grid, Trend


@dataclass
class Summary:
    """Of one folder at one moment."""

    folder: Path
    study: Study
    jobs: list[Job]  # in the order of the sweep
    configurations: list[Configuration]  # the best first
    notes: list[str]  # sentences
    errors: list[str]
    paragraph: str = ""  # what matters and what is a tie; empty in a quick summary
    effects: list["Effect"] = field(default_factory=list)
    trends: list["Trend"] = field(default_factory=list)
    grids: list["Grid"] = field(default_factory=list)
    figures: dict[str, str] = field(default_factory=dict)  # caption by file name


def check(folder: Path) -> None:
    """Looks whether there is anything to summarise.

    Raises:
        UserError: There is no such folder, or no run in it.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder: name that of a sweep, such as outputs/sweeps/NAME")
    if not read_names(folder, Study.read(folder)):
        raise UserError(f"{folder} holds no run: name the folder of a sweep, such as outputs/sweeps/NAME")


def collect(folder: Path, *, final: bool) -> Summary:
    """Reads the results of a folder's jobs, and compares them if `final`.

    Raises:
        UserError: The folder's study.json is damaged.
    """
    study = Study.read(folder)
    jobs = [read_job(folder / name, with_rows=final) for name in read_names(folder, study)]
    ranked = configurations(jobs)
    summary = Summary(folder, study, jobs, ranked, [], words.errors(jobs))
    if final:
        _compare(summary)
    summary.notes = words.notes(jobs, ranked, final=final)
    return summary


def _compare(summary: Summary) -> None:
    from sign_cnn.summary import effects  # loads scipy, which a quick summary does without

    effects.compare_with_best(summary.configurations)
    found = effects.comparable(summary.configurations)
    marginal = effects.main_effects(found, factor_names(summary.jobs))
    summary.effects = [item for item in marginal if isinstance(item, effects.Effect)]
    summary.trends = [item for item in marginal if isinstance(item, effects.Trend)]
    summary.grids = effects.grids(found, [item.factor for item in summary.effects])
    summary.paragraph = words.paragraph(summary.configurations, summary.effects, summary.study.name)
