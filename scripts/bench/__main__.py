"""The command line: runs a benchmark, prints its tables and keeps them as `outputs/bench/NAME.json`.

A benchmark is a module with RECIPES and REPEATS to measure by default, PAIRS of variants to compare in each round, and
`make_variants(recipe, options)`: functions of the round, from 0, that return measures by name.
"""

import argparse
import json
import logging
import os
import shlex
import subprocess
import sys
from datetime import datetime
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from scripts.bench.measure import OUTPUT, Options, interleave, summarize_rounds
from sign_cnn.console import print_line, print_table
from sign_cnn.files import write_text
from sign_cnn.runs import git_commit, machine, versions

MODULES = {
    path.stem: path
    for path in sorted(Path(__file__).parent.glob("[!_]*.py"))
    if path.stem != "measure"
}
BENCHMARKS = {
    name: path.read_text(encoding="utf-8").split('"""')[1].splitlines()[0]
    for name, path in MODULES.items()
}


def main() -> None:
    """Parse and run."""
    words = sys.argv[1:]
    listed = "\n".join(f"  {name:9} {text}" for name, text in BENCHMARKS.items())
    parser = argparse.ArgumentParser(
        "scripts.bench", description=listed, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("name", nargs="?", choices=BENCHMARKS, help="all but compare by default")
    parser.add_argument(
        "checkout", nargs="?", type=Path, metavar="OTHER_CHECKOUT", help="of compare"
    )
    parser.add_argument("--recipes", nargs="+", metavar="RECIPE", help="of conf/experiment")
    parser.add_argument("--repeats", type=int, metavar="N", help="rounds")
    parser.add_argument(
        "--quick", action="store_true", help="the smallest form, to see that it works"
    )
    parser.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="overrides of every recipe"
    )
    args = parser.parse_args(words)
    if not args.name:  # a fresh process each
        commands = [
            [sys.executable, "-m", "scripts.bench", name, *words]
            for name in BENCHMARKS
            if name != "compare"
        ]
        sys.exit(max(subprocess.run(command).returncode for command in commands))

    logging.getLogger("sign_cnn").setLevel(logging.WARNING)  # no line per epoch
    started, load = datetime.now().isoformat(), os.getloadavg()[0]
    OUTPUT.mkdir(parents=True, exist_ok=True)
    module = import_module(f"scripts.bench.{args.name}")
    with TemporaryDirectory(prefix="run_", dir=OUTPUT) as folder:
        options = Options(Path(folder).resolve(), args.quick, args.set, args.checkout)
        repeats = args.repeats or (1 if args.quick else module.REPEATS)
        variants = {
            recipe: module.make_variants(recipe, options)
            for recipe in args.recipes or module.RECIPES
        }
        rounds = pd.concat(
            [interleave(recipe, variants[recipe], repeats) for recipe in variants],
            ignore_index=True,
        )
    tables = {BENCHMARKS[args.name]: summarize_rounds(rounds, module.PAIRS), **options.tables}
    for title, table in tables.items():
        print_table(
            table.map(lambda cell: f"{cell:.4g}" if isinstance(cell, float) else cell), title
        )
    record = {
        "command": shlex.join(["python", "-m", "scripts.bench", *words]),
        "started": started,
        "load_average": load,
        "git_commit": git_commit(),
        "machine": machine(),
        "versions": versions(),
        "tables": {
            key: json.loads(df.to_json(orient="records"))
            for key, df in (tables | {"rounds": rounds}).items()
        },
    }
    write_text(
        OUTPUT / f"{args.name}.json", json.dumps(record, indent=2, ensure_ascii=False) + "\n"
    )
    print_line(f"{machine()}, commit {git_commit()}; written to {OUTPUT / args.name}.json")


if __name__ == "__main__":
    main()
