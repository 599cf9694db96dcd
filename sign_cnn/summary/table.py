"""Jobs grouped into configurations, and the configurations ranked by validation accuracy, never by the test set."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Literal

from sign_cnn.runs.results import Result
from sign_cnn.summary.evidence import Evidence, Rows, evidence
from sign_cnn.summary.jobs import STATUSES, Job, natural

Verdict = Literal["best", "tie", "worse", "other rows"]


@dataclass(frozen=True)
class Difference:
    """A difference of accuracies and its interval of 95 %, in -1..1."""

    value: float
    low: float
    high: float
    with_seeds: bool  # for new photographs and new seeds; else for new photographs and these networks

    @property
    def shown(self) -> bool:
        """Whether 0 is outside of the interval."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Score:
    """Validation of one seed, all its folds together. None: it has no validation rows."""

    seed: str
    val_acc: float | None
    val_loss: float | None
    photographs: int | None
    photographs_wrong: int | None  # most of whose variants are wrong


@dataclass
class Configuration:
    """What its jobs have in common; they differ in seed and fold alone."""

    factors: dict[str, str]
    jobs: list[Job]
    place: int  # of it in the sweep, from 0
    folds: frozenset[str]  # that the scores are of; {""} where folds are not swept, empty where nothing is done
    scores: list[Score]  # of seeds whose folds are all done
    evidence: Evidence | None = None
    rank: int | None = None  # from 1; None: no validation accuracy
    difference: Difference | None = None  # to the best
    verdict: Verdict | None = None

    @property
    def done(self) -> list[Result]:
        """Results of the finished jobs."""
        return [job.result for job in self.jobs if job.status == "done" and job.result]

    @property
    def accuracies(self) -> list[float]:
        """Of each seed, 0..1."""
        return [score.val_acc for score in self.scores if score.val_acc is not None]

    @property
    def val_acc(self) -> float | None:
        """Mean over seeds, 0..1."""
        return fmean(self.accuracies) if self.accuracies else None

    @property
    def val_acc_sd(self) -> float | None:
        """Standard deviation between seeds; None: fewer than two."""
        return stdev(self.accuracies) if len(self.accuracies) > 1 else None

    @property
    def val_loss(self) -> float | None:
        """Mean over seeds, in nats."""
        return _mean([score.val_loss for score in self.scores])

    @property
    def photographs(self) -> float | None:
        """Mean over seeds."""
        return _mean([score.photographs for score in self.scores])

    @property
    def photographs_wrong(self) -> float | None:
        """Mean over seeds."""
        return _mean([score.photographs_wrong for score in self.scores])

    @property
    def test_accuracies(self) -> list[float]:
        """Of each finished job that scored the test set, 0..1. They are shown, and rank nothing."""
        return [result.test_acc for result in self.done if result.test_acc is not None]

    @property
    def num_params(self) -> int | None:
        """The same for every seed."""
        return next((result.num_params for result in self.done if result.num_params is not None), None)

    @property
    def macs(self) -> int | None:
        """Multiply-accumulates of one image."""
        return next((result.macs for result in self.done if result.macs is not None), None)

    @property
    def fit_seconds(self) -> float | None:
        """Mean of a job."""
        return _mean([result.fit_seconds for result in self.done])

    @property
    def status(self) -> str:
        """Such as `2 done, 1 failed`."""
        return counted(self.jobs)

    def name(self, factors: Sequence[str] | None = None) -> str:
        """Such as `depth=3, kernel_size=5`, of all its factors or of some; empty where nothing but seeds is swept."""
        shown = [key for key in self.factors if factors is None or key in factors]
        return ", ".join(self.factors[key] if key == "run" else f"{key}={self.factors[key]}" for key in shown)


def configurations(jobs: Sequence[Job]) -> list[Configuration]:
    """The configurations of the jobs, the best by mean validation accuracy first.

    Ties go to the one with fewer photographs wrong, then the lower loss, then fewer MACs. Those that miss folds which
    others have come after these, however well they do on the rest; those with nothing done come last.
    """
    groups: dict[frozenset[tuple[str, str]], list[Job]] = defaultdict(list)
    for job in jobs:
        groups[frozenset(job.factors.items())].append(job)
    found = sorted((_configuration(group, place) for place, group in enumerate(groups.values())), key=_rank_key)
    for rank, configuration in enumerate((item for item in found if item.accuracies), 1):
        configuration.rank = rank
    return found


def factor_names(found: Sequence[Job]) -> list[str]:
    """Every label but seed and fold, in the order of the first names."""
    return list(dict.fromkeys(key for job in found for key in job.factors))


def varying(found: Sequence[Configuration], names: Sequence[str]) -> list[str]:
    """The factors in which some of these configurations differ."""
    return [name for name in names if len({item.factors.get(name) for item in found}) > 1]


def counted(jobs: Sequence[Job]) -> str:
    """How many jobs are in which state: `2 done, 1 failed`."""
    counts = Counter(job.status for job in jobs)
    return ", ".join(f"{counts[status]} {status}" for status in STATUSES if counts[status])


def _configuration(jobs: list[Job], place: int) -> Configuration:
    by_seed: dict[str, dict[str, Job]] = defaultdict(dict)
    for job in jobs:
        if job.status == "done":
            by_seed[job.seed].setdefault(job.fold, job)  # one set of values named in two orders is one job
    fold_sets = Counter(frozenset(folds) for folds in by_seed.values())
    folds = max(fold_sets, key=lambda item: (len(item), fold_sets[item], sorted(item)), default=frozenset())
    complete = [
        [by_seed[seed][fold] for fold in sorted(folds, key=natural)]
        for seed in sorted(by_seed, key=natural)
        if by_seed[seed].keys() == folds
    ]
    rows = [_rows(parts) for parts in complete]
    known = [item for item in rows if item is not None]
    fingerprints = {job.result.data_fingerprint for parts in complete for job in parts if job.result}
    judged = evidence(known, fingerprints.pop()) if len(known) == len(rows) > 0 and len(fingerprints) == 1 else None
    return Configuration(jobs[0].factors, jobs, place, folds, [_score(parts) for parts in complete], judged)


def _rows(folds: Sequence[Job]) -> Rows | None:
    parts = [job.rows for job in folds if job.rows is not None]
    return None if len(parts) < len(folds) else parts[0] if len(parts) == 1 else Rows.joined(parts)


def _score(folds: Sequence[Job]) -> Score:
    """Folds weighted by rows where those are known, else by photographs."""
    results = [job.result for job in folds if job.result]
    weights = [
        float(len(job.rows.row) if job.rows is not None else (job.result and job.result.val_originals) or 1)
        for job in folds
    ]
    return Score(
        folds[0].seed,
        _mean([result.val_acc for result in results], weights),
        _mean([result.val_loss for result in results], weights),
        _sum([result.val_originals for result in results]),
        _sum([result.val_originals_wrong for result in results]),
    )


def _rank_key(item: Configuration) -> tuple[object, ...]:
    def smaller(value: float | None) -> float:
        return float("inf") if value is None else round(value, 12)

    scored = item.val_acc is not None
    mean = -(item.val_acc or 0.0)
    tie = smaller(item.photographs_wrong), smaller(item.val_loss), smaller(item.macs)
    return not scored, not item.done, -len(item.folds), round(mean, 12), *tie, item.place


def _mean(values: Sequence[float | None], weights: Sequence[float] | None = None) -> float | None:
    """None if any is."""
    known = [value for value in values if value is not None]
    return fmean(known, weights) if known and len(known) == len(values) else None


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None
