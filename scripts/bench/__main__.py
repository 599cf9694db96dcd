"""Measure speed: `python -m scripts.bench [PART] [KEY=VALUE …]`, or `make bench ARGS=PART`.

A part is a module with the RECIPES and ROUNDS that it takes by default, and `make_variants`, which
returns functions to be timed in turn.
"""

import argparse
import logging
import os
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.bench.measure import Options, run_rounds, summarize_rounds
from sign_cnn.console import print_line, print_table
from sign_cnn.runs import git_commit, machine

PARTS = {
    "step": "a training step by Lightning and by a plain loop that ends with the same bits",
    "startup": "from the shell to the first training step, and to answers that need none",
    "pipeline": "images per second of sampler and augmentation alone",
    "sweep": "what a job of a sweep takes besides its fit",
    "live": "the live page in headless Chromium: frames/s and loading",
    "fit": "fit time of this checkout and of the one that --against names",
}


def main() -> None:
    """Parse the command line, measure, and print a table per recipe."""
    listed = "\n".join(f"  {name:9} {text}" for name, text in PARTS.items())
    parser = argparse.ArgumentParser(
        "scripts.bench", description=listed, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("part", nargs="?", choices=PARTS, help="all but live and fit by default")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="settings of the recipe")
    parser.add_argument("--recipes", nargs="+", metavar="RECIPE", help="of conf/experiment")
    parser.add_argument("--rounds", type=int, metavar="N")
    parser.add_argument("--against", type=Path, metavar="DIR", help="another checkout, for fit")
    parser.add_argument("--quick", action="store_true", help="on tiny data, to see that it works")
    args = parser.parse_intermixed_args()
    if args.part == "fit" and not Path(args.against or "", "sign_cnn").is_dir():
        parser.error("fit needs --against DIR, a checkout of this project")
    command = ["python", "-m", "scripts.bench", *sys.argv[1:]]
    if not args.part:  # each in a process of its own
        codes = [
            subprocess.run([sys.executable, *command[1:3], part, *command[3:]]).returncode
            for part in PARTS
            if part not in ("live", "fit")
        ]
        sys.exit(max(codes))

    logging.getLogger("sign_cnn").setLevel(logging.WARNING)  # no line per epoch
    module = import_module(f"scripts.bench.{args.part}")
    rounds = args.rounds or (1 if args.quick else module.ROUNDS)
    with TemporaryDirectory(prefix="bench_") as folder:
        options = Options(Path(folder).resolve(), args.quick, args.overrides, args.against)
        for recipe in args.recipes or module.RECIPES:
            table = summarize_rounds(run_rounds(module.make_variants(recipe, options), rounds))
            shown = table.map(lambda cell: f"{cell:.4g}" if isinstance(cell, float) else cell)
            print_table(shown, f"{args.part}, {recipe}: {PARTS[args.part]}")
    load = f"load average {os.getloadavg()[0]:.1f} at the end"
    print_line(f"{shlex.join(command)}; commit {git_commit()}; {machine()}; {load}")


if __name__ == "__main__":
    main()
