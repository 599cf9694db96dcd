"""How time and memory grow with rows, batch size, depth and width; each point a fresh process, on the CPU."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from scripts.bench.child import Job
from scripts.bench.measurement import Report, Series, Sheet, Target
from scripts.bench.recipes import Options, composed, say
from sign_cnn.models import geometry

COPIES = (1, 4, 16)
BATCH_SIZES = (32, 128, 512, 2048)
DEPTHS = (1, 2, 3, 4)
WIDTHS = (8, 16, 32, 64)
MEGABYTES = 1500


def points(recipe: str, overrides: list[str], quick: bool = False) -> dict[str, Job]:
    """Name to what is run; one axis changes at a time."""
    channels = geometry.block_channels(composed(recipe, overrides).model)
    base = Job(recipe, overrides, epochs=1 if quick else 3)

    def changed(*more: str) -> Job:
        return replace(base, overrides=[*overrides, *more])

    def shaped(width: int, depth: int) -> Job:
        return changed("model.channels=null", f"model.width={width}", f"model.depth={depth}")

    found = {f"rows ×{copies}": replace(base, copies=copies) for copies in COPIES}
    found |= {f"batch size {size}": changed(f"data.batch_size={size}") for size in BATCH_SIZES}
    found |= {f"depth {depth}": shaped(channels[0], depth) for depth in DEPTHS}
    found |= {f"width {width}": shaped(width, len(channels)) for width in WIDTHS}
    return dict(list(found.items())[:2]) if quick else found


def in_child(job: Job) -> dict[str, Any]:
    """Runs a job in a fresh process.

    Raises:
        RuntimeError: It failed.
    """
    command = [sys.executable, "-m", "scripts.bench.child", json.dumps(asdict(job))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def run(options: Options, runner: Callable[[Job], dict[str, Any]] = in_child) -> Report:
    """Measures every point once; the spread is over epochs, of which the first one warms up."""
    recipe = (options.recipes or ["best"])[0]
    report = Report("scaling", f"{recipe}: seconds of an epoch", {"recipe": recipe})
    rows = []
    for name, job in points(recipe, options.overrides, options.quick).items():
        say(name)
        found = runner(job)
        report.details[name] = found
        seconds = Series(name, "s", found["epoch_seconds"][1:] or found["epoch_seconds"])
        report.series.append(seconds)
        rate = found["rows"] / seconds.median
        sizes = [f"{found['num_params']:,}", f"{found['macs'] / 1e6:.2f} M"]
        rows.append(
            [name, *sizes, f"{rate:,.0f}", f"{rate * found['macs'] / 1e9:.1f} G", f"{found['peak_megabytes']:,.0f}"]
        )
    columns = ["", "parameters", "multiply-adds", "images/s", "forward multiply-adds/s", "peak MB"]
    report.sheets.append(Sheet(f"{recipe}: what it costs", columns, rows))
    say("the whole command")
    report.details["whole"] = whole = runner(Job(recipe, options.overrides, whole=True))
    report.targets.append(
        Target(f"{recipe}, whole command, peak resident MB", whole["peak_megabytes"], MEGABYTES, at_least=False)
    )
    return report
