"""What every broken input has in common. `python tests/broken.py` counts those of the corpus, kind by kind."""

import resource
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest


class Case(NamedTuple):
    """One broken input."""

    name: str
    make: Callable[[Path], Any]  # writes into an empty folder; returns what to hand in
    words: str  # of the sentence that it has to end in


Corpus = Mapping[str, Sequence[Case]]  # by kind


def each(corpus: Corpus) -> pytest.MarkDecorator:
    """Hands a test every case of a corpus."""
    return pytest.mark.parametrize(
        "case", [pytest.param(case, id=f"{kind}-{case.name}") for kind, cases in corpus.items() for case in cases]
    )


def check_sentence(said: str, case: Case) -> None:
    """One sentence of a bearable length that says what is wrong."""
    assert case.words in said
    assert "\n" not in said.strip()
    assert "Traceback" not in said
    assert len(said) < 900


def files_below(folder: Path) -> dict[Path, int]:
    """Every file with its size; locks, which stay behind for good, are left out."""
    return {path: path.lstat().st_size for path in folder.rglob("*") if path.suffix != ".lock" and not path.is_dir()}


def peak_megabytes() -> float:
    """Most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    """Prints the counts."""
    import broken_data
    import broken_models
    import broken_pictures
    import broken_runs
    import broken_settings

    counts = {
        kind: len(cases)
        for module in (broken_data, broken_settings, broken_runs, broken_models, broken_pictures)
        for kind, cases in module.CORPUS.items()
    }
    for kind, count in counts.items():
        print(f"{count:4}  {kind}")
    print(f"{sum(counts.values()):4}  in all")


if __name__ == "__main__":
    main()
