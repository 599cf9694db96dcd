"""The command line: runs the named benchmarks, each in a process of its own if there are several."""

import argparse
import subprocess
import sys
import warnings
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from rich.console import Console

from scripts.bench.recipes import Options

BENCHMARKS = {
    "pipeline": "images a second of the input alone, beside torchvision's transforms in a DataLoader",
    "step": "whole fits, beside a plain PyTorch loop and beside the usual Lightning set-up",
    "accuracy": "seconds of fit to a test accuracy; the only one that looks at the test set in every epoch",
    "startup": "from the shell to the first step, and to an answer",
    "sweep": "what a job of a sweep costs besides its fit and its scoring",
    "scaling": "time and memory by rows, batch size, depth and width",
    "profile": "where the time of an epoch goes, and how far it is from the arithmetic alone",
}


def main(argv: list[str] | None = None) -> None:
    """Parses and runs."""
    listed = "\n".join(f"  {name:10} {text}" for name, text in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        "python -m scripts.bench", description=f"Benchmarks:\n{listed}", formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="all by default")
    parser.add_argument("--recipes", nargs="+", help="of conf/experiment")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4], help="accuracy: one fit each")
    parser.add_argument("--repeats", type=int, help="rounds of each comparison")
    parser.add_argument("--epochs", type=int, help="step: epochs of each fit")
    parser.add_argument("--quick", action="store_true", help="the smallest form, to see that it works")
    parser.add_argument("--folder", type=Path, default=Path("outputs/bench"), help="of the JSON files")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="overrides of every recipe")
    words = sys.argv[1:] if argv is None else argv
    options = parser.parse_args(words)
    if unknown := set(options.names) - set(BENCHMARKS):
        parser.error(f"no benchmark is called {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    names = options.names or list(BENCHMARKS)
    if len(names) > 1:
        # One that fails leaves the others, and none measures memory or threads that another has left behind.
        others = [word for word in words if word not in options.names]
        codes = [subprocess.run([sys.executable, "-m", "scripts.bench", name, *others]).returncode for name in names]
        sys.exit(max(codes))
    chosen = Options(options.recipes, options.seeds, options.repeats, options.epochs, options.set, options.quick)
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")  # as in fitting.prepare
    started = datetime.now(UTC)
    report = import_module(f"scripts.bench.{names[0]}").run(chosen)
    report.show(Console(width=None if sys.stdout.isatty() else 120))
    print(f"Written to {report.write(options.folder, started, words)}")


if __name__ == "__main__":
    main()
