"""Training steps alone and beside busy processes, for each way in which OpenMP's threads may wait for each other."""

import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack

from scripts.bench.measure import Options, Variants

WAYS = {
    "torch's own": {"GOMP_SPINCOUNT": "300000"},  # what libgomp does unless told otherwise
    "ours": {},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
NEIGHBOURS, STEPS = (0, 1, 3), 70
RECIPES, REPEATS = ("best",), 3
PAIRS = [f"{way}, {n} beside / torch's own, 0 beside" for n in NEIGHBOURS for way in WAYS]
STEP = """
import sys
from sign_cnn.data.datamodule import SignMNISTDataModule
import torch
from scripts.bench.measure import build, clock, compose, initialize_config_dir, CONFIG_DIR
with initialize_config_dir(CONFIG_DIR, job_name="bench"):
    data, model = build(compose("train", sys.argv[2:]))
loader, optimizer = data.train_dataloader(), torch.optim.AdamW(model.network.parameters(), fused=True)
done = 0
while done < int(sys.argv[1]):
    for indices in loader.sampler:
        start = clock()
        batch = data.on_after_batch_transfer(loader.dataset[indices], 0)
        optimizer.zero_grad()
        model.loss(model(batch.images), batch.labels).backward()
        optimizer.step()
        print(1000 * (clock() - start))
        if (done := done + 1) >= int(sys.argv[1]):
            break
"""


def make_variants(recipe: str, options: Options) -> Variants:
    """Each way beside each number of neighbours; a process of its own, as the way is read when OpenMP is loaded."""

    def measure(way: str, neighbours: int) -> Callable[[int], dict[str, float]]:
        def run(_: int) -> dict[str, float]:
            inherited = {
                key: os.environ[key]
                for key in os.environ.keys() - {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"}
            }
            overrides = [*options.recipe_overrides(recipe), f"run_dir={options.make_folder()}"]
            command = [sys.executable, "-c", STEP, str(5 if options.quick else STEPS), *overrides]
            with ExitStack() as stack:
                for _ in range(neighbours):
                    busy = stack.enter_context(
                        subprocess.Popen([sys.executable, "-c", "while True: pass"])
                    )
                    stack.callback(busy.kill)
                times = subprocess.check_output(
                    command, env=inherited | WAYS[way], text=True
                ).split()
            milliseconds = list(map(float, times))
            return {
                "step_ms": statistics.median(milliseconds),
                "mean_step_ms": statistics.fmean(milliseconds),
            }

        return run

    pairs = [(way, n) for n in NEIGHBOURS for way in WAYS]
    return {
        f"{way}, {n} beside": measure(way, n) for way, n in (pairs[:1] if options.quick else pairs)
    }
