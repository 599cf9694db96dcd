"""What a summary says in sentences."""

from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sign_cnn.reports.report_text import percent
from sign_cnn.summary.jobs import Job
from sign_cnn.summary.table import Configuration, counted, varying

if TYPE_CHECKING:
    from sign_cnn.summary.effects import Effect

_MANY = 5  # configurations; the best of more flatters itself
_NAMED = 3  # jobs of one error


def errors(jobs: Sequence[Job]) -> list[str]:
    """Each message once, with the jobs it stopped."""
    by_message: dict[str, list[str]] = defaultdict(list)
    for job in jobs:
        if job.status in ("failed", "unreadable"):
            by_message[f"{job.status}: {job.error or 'no reason known'}"].append(job.name)
    return [f"{_listed([f'`{name}`' for name in names], _NAMED)} {text}" for text, names in by_message.items()]


def tested(ranked: Sequence[Configuration]) -> bool:
    """Whether to show what the test set says: only of one configuration, which nothing else is chosen against."""
    return len(ranked) == 1 and bool(ranked[0].test_accuracies)


def notes(jobs: Sequence[Job], ranked: Sequence[Configuration], *, final: bool) -> list[str]:
    """What must be known to read the table."""
    scored = [item for item in ranked if item.accuracies]
    said = [f"{len(jobs)} job{'s' if len(jobs) > 1 else ''}: {counted(jobs)}."]
    if not scored and any(item.done for item in ranked):
        said.append("No finished run has validation rows (`data.val_split=none`): nothing is ranked.")
    if scored:
        spread = ", mean ± standard deviation between seeds" if any(item.val_acc_sd for item in scored) else ""
        said.append(f"Accuracy: share of validation rows that are right{spread}. The test set ranks nothing.")
    if tested(ranked):
        said.append("The test accuracy is shown because there is only one configuration, and nothing to choose.")
    seeds = sorted({len(item.scores) for item in ranked if item.scores})
    if len(seeds) > 1:
        said.append(f"The configurations have from {seeds[0]} to {seeds[-1]} finished seeds.")
    if len({len(item.folds) for item in scored}) > 1:
        said.append("Configurations that miss folds which others have are ranked after these.")
    if any(job.fold for job in jobs) and scored and not final:
        said.append("Folds are weighted by photographs until the summary at the end, then by rows.")
    if len(scored) > 1 and not final:
        said.append("Differences and their intervals come with the summary at the end.")
    return said + (_notes_on_differences(scored) if final else [])


def paragraph(ranked: Sequence[Configuration], effects: Sequence["Effect"], study: str) -> str:
    """What matters and what is a tie."""
    said = [_effects(effects)] if effects else []
    compared = [item for item in ranked if item.verdict in ("best", "tie", "worse")]
    if len(compared) < 2:
        return " ".join(said)
    best, ties = compared[0], [item for item in compared if item.verdict == "tie"]
    names = varying(compared, list(best.factors))
    called = {item.place: f"`{item.name(names) or study}`" for item in compared}
    others = "the other one" if len(compared) == 2 else f"all {len(compared) - 1} others"
    if not ties:
        lead = f"{called[best.place]} ({percent(best.val_acc)}) is better than {others}, beyond the intervals."
        return " ".join([*said, lead])
    which = {1: "another one"}.get(len(ties), f"{len(ties)} others") if len(ties) < len(compared) - 1 else others
    verb = "ties" if len(ties) == 1 else "tie"
    said.append(f"The best is {called[best.place]}; {which} {verb} with it.")
    return " ".join([*said, *_cheapest(best, ties, called)])


def _cheapest(best: Configuration, ties: Sequence[Configuration], called: dict[int, str]) -> list[str]:
    """A sentence on which of the best costs least, if that is known."""
    priced = [item for item in (best, *ties) if item.macs is not None]
    if not priced:
        return []
    cheapest = min(priced, key=lambda item: (item.macs or 0, item.rank or 0))
    cost = f"{compact(cheapest.macs)} MACs"
    if cheapest is best:
        return [f"None of these is cheaper: the best needs {cost}."]
    return [
        f"As good as the best by this evidence: {called[cheapest.place]} ({percent(cheapest.val_acc)} against "
        f"{percent(best.val_acc)}) with {cost} in place of {compact(best.macs)}, the cheapest of them."
    ]


def compact(number: float | None) -> str:
    """A count in three digits.

    >>> compact(1_433_088)
    '1.43 M'
    """
    if number is None:
        return "–"
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= 0.9995 * size:
            return f"{number / size:#.3g}".rstrip(".") + f" {letter}"
    return f"{number:.3g}"


def points(share: float) -> str:
    """A share as percentage points with two decimals and a true minus."""
    return f"{100 * share + 0.0:.2f}".replace("-0.00", "0.00").replace("-", "−")


def _notes_on_differences(scored: Sequence[Configuration]) -> list[str]:
    said = []
    differences = [item.difference for item in scored if item.difference]
    if any(difference.with_seeds for difference in differences):
        said.append("Differences have 95 % intervals for new photographs and new seeds; one that holds 0 is a tie.")
    if not all(difference.with_seeds for difference in differences):
        where = (
            "Where a configuration has one seed, intervals" if any(d.with_seeds for d in differences) else "Intervals"
        )
        said.append(
            f"{where} of 95 % count photographs alone, for these very networks: other seeds would give other "
            "differences. One that holds 0 is a tie."
        )
    if len(differences) > _MANY:
        said.append(f"The best of {len(differences) + 1} owes some of its lead to luck.")
    if others := sum(item.verdict == "other rows" for item in scored):
        said.append(
            f"{others} of {len(scored)} were validated on other rows than the best and are not compared with it."
        )
    return said


def _effects(effects: Sequence["Effect"]) -> str:
    shown = [f"{effect.factor} ({_range(effect)})" for effect in effects if effect.shown]
    not_shown = [effect.factor for effect in effects if not effect.shown]
    if not shown:
        return f"Levels do not differ beyond their intervals for {_listed(not_shown, joint='or')}."
    rest = f", not for {_listed(not_shown, joint='or')}" if not_shown else ""
    return f"Levels differ beyond their intervals for {_listed(shown)}{rest}."


def _range(effect: "Effect") -> str:
    levels = sorted(effect.levels, key=lambda level: level.accuracy)
    ends = f"{levels[-1].value}: {percent(levels[-1].accuracy)}, {levels[0].value}: {percent(levels[0].accuracy)}"
    return ends if effect.balanced else f"{ends}, other factors not balanced"


def _listed(names: Sequence[str], limit: int = 100, joint: str = "and") -> str:
    if len(names) > limit:
        return f"{', '.join(names[:limit])} and {len(names) - limit} more"
    return f" {joint} ".join(part for part in (", ".join(names[:-1]), names[-1]) if part)
