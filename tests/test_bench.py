import itertools
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scripts.bench import __main__ as command_line
from scripts.bench import accuracy, child, measurement, pipeline, plain, profile, scaling, startup, step
from scripts.bench.accuracy import Fit
from scripts.bench.first_step import WhenImported
from scripts.bench.measurement import Target
from scripts.bench.recipes import Options, composed, shortened
from sign_cnn.train import CONFIG_DIR
from sign_cnn.training import callbacks, fitting

RECIPES = sorted({"best", "speedrun", "article_tuned"} & {path.stem for path in Path(CONFIG_DIR).rglob("*.yaml")})


@pytest.fixture(autouse=True)
def no_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full collection takes half a second in a process that holds the whole suite."""
    monkeypatch.setattr(measurement, "gc", SimpleNamespace(collect=lambda: None))


@pytest.fixture
def tiny_set(tiny_root: Path, tiny_cache: Path) -> list[str]:
    """Overrides of a recipe: the tiny set, little else to do."""
    return [
        f"data.root={tiny_root}", f"data.cache_dir={tiny_cache}", "data.folds=4", "data.batch_size=64", "logger=none",
    ]  # fmt: skip


@pytest.fixture
def tiny_network(tiny_set: list[str]) -> list[str]:
    return [*tiny_set, "model.channels=null", "model.width=4", "model.depth=2", "model.dense_units=[]"]


@pytest.fixture
def fake_clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still unless `now` is moved, for benchmarks and for the recorder of epochs."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(measurement, "clock", lambda: clock.now)
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


def costs(monkeypatch: pytest.MonkeyPatch, clock: SimpleNamespace, owner: object, method: str, seconds: float) -> None:
    """Makes each call of a method take this long by the fake clock."""
    original = getattr(owner, method)

    def call(*arguments, **named):
        clock.now += seconds
        return original(*arguments, **named)

    monkeypatch.setattr(owner, method, call)


def test_a_rate_is_images_over_seconds(fake_clock):
    def work() -> int:
        fake_clock.now += 4
        return 1000

    assert measurement.images_per_second(work) == 250


def test_the_pipeline_counts_every_image_once(fake_clock, monkeypatch, tiny_set):
    """Each of our batches takes 2 s by the fake clock, each of the loader's images 0.5 s."""
    config = composed("best", [*tiny_set, "augment=full"])
    data = fitting.make_data(config)
    costs(monkeypatch, fake_clock, type(data), "on_after_batch_transfer", 2)
    images = len(data.split.train)
    assert measurement.images_per_second(pipeline.ours(data)) == images / (2 * -(-images // 64))

    class Slow(pipeline.PerSample):
        def __getitem__(self, row: int):
            fake_clock.now += 0.5
            return super().__getitem__(row)

    transform = pipeline.transforms(config.augment, 0.5, 0.2)
    samples = Slow(data.dataset.train_images[:100], data.dataset.train_labels[:100], transform)
    loader = torch.utils.data.DataLoader(samples, 32)
    assert measurement.images_per_second(lambda: pipeline.consumed(loader)) == 2


def test_a_runs_throughput_leaves_out_validation_and_checkpoints(fake_clock, monkeypatch, tiny_network, tmp_path):
    """Of `EpochRecorder`: a step takes 1 s by the fake clock, a validation 100 s, a checkpoint 1000 s."""
    from sign_cnn.models.classifier import SignClassifier
    from sign_cnn.train import train

    costs(monkeypatch, fake_clock, SignClassifier, "training_step", 1)
    costs(monkeypatch, fake_clock, SignClassifier, "on_validation_epoch_start", 100)
    costs(monkeypatch, fake_clock, callbacks.AtomicCheckpointIO, "save_checkpoint", 1000)
    config = shortened(composed("best", [*tiny_network, "data.val_split=group", "test=false"]), 2)
    images = len(fitting.make_data(config).split.train)
    steps = -(-images // 64)
    result = train(config, tmp_path)
    assert result.train_images_per_second == images / steps
    assert result.fit_seconds >= 2 * steps + 2 * 100 + 1000


def test_scaling_divides_the_rows_by_the_seconds_of_an_epoch(tiny_network):
    found = {"epoch_seconds": [9.0, 2.0, 2.0], "rows": 1000, "num_params": 1, "macs": 3e6, "peak_megabytes": 700.0}
    report = scaling.run(Options(overrides=tiny_network, quick=True), lambda _: found)
    assert report.sheets[0].rows[0][3:] == ["500", "1.5 G", "700"]
    assert report.targets[0].met


def test_the_floor_is_six_operations_a_multiply_add_over_the_rate_of_a_matrix_product(monkeypatch, tiny_network):
    config = composed("best", tiny_network)
    macs = profile.geometry.shape(config.model).macs
    monkeypatch.setattr(profile, "matmul_rate", lambda *_: 6.0 * macs * 1000)
    row = profile.floor("best", config, images=5000, train_seconds=20.0, quick=True).rows[0]
    assert row[3:] == ["5", "20", "4.0"]


def test_an_epoch_has_as_many_images_as_its_steps_took(tiny_network, tmp_path: Path):
    config = composed("speedrun", [*tiny_network, "data.epoch_rows=128"])
    fitting.prepare(config)
    assert profile.second_epoch(config, fitting.make_data(config), tmp_path, None)[2] == 128


def test_a_matrix_product_counts_two_operations_a_multiply_add(monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(profile, "clock", lambda: float(next(ticks)))
    assert profile.matmul_rate(torch.float32, 10) == 2000


def test_variants_take_turns_and_each_comes_first(fake_clock):
    order = []
    variants = {name: lambda name=name: order.append(name) for name in "abc"}
    found = measurement.interleaved(variants, 3, {"c": 2})
    assert order == [*"abc", *"bca", *"ab"]
    assert [len(values) for values in found.values()] == [3, 3, 2]


def test_a_target_is_met_on_the_right_side():
    assert Target("", 15, 15, at_least=True).met
    assert not Target("", 14.9, 15, at_least=True).met
    assert Target("", 1.1, 1.1, at_least=False).met
    assert not Target("", 1.11, 1.1, at_least=False).met


def test_seconds_to_an_accuracy_are_those_of_the_first_epoch_that_has_it():
    one = Fit([2.0, 4.0, 6.0], [0.9, 0.99, 0.98], 6.5, 0.98)
    assert [one.reached(share) for share in (0.9, 0.95, 0.99, 0.995)] == [2.0, 4.0, 4.0, None]


def test_a_recipe_that_is_never_good_enough_misses_its_target():
    fits = [Fit([10.0, seconds], [0.9, 0.999], seconds, 0.999) for seconds in (29.0, 31.0, 29.0)]
    never = Fit([10.0], [0.9], 10.0, 0.9)
    assert accuracy.targets("best", fits)[0].met
    assert not accuracy.targets("best", [*fits[:2], never])[0].met
    assert [target.met for target in accuracy.targets("speedrun", [never])] == [False, True]


@pytest.mark.parametrize(
    ("recipe", "more"),
    [
        *((recipe, "") for recipe in RECIPES),
        ("best", "trainer.ema_decay=0.9 trainer.gradient_clip=0.5 scheduler=cosine optimizer=sgd"),
        ("best", "trainer.precision=bf16-mixed scheduler=cosine scheduler.interval=epoch model.dropout=0.2"),
    ],
)
def test_the_plain_loop_ends_with_the_same_bits(recipe: str, more: str, tiny_set, tmp_path: Path):
    overrides = [*tiny_set, "data.val_split=group", "data.val_size=null", "trainer.patience=0", "trainer.threads=1"]
    overrides += [*more.split(), "model.channels=null", "model.width=4"]
    config = shortened(composed(recipe, overrides), 2)
    data = fitting.make_data(config)
    models, rows = [], []
    for fit, name in ((step.ours, "ours"), (plain.fit, "plain.pt")):
        fitting.prepare(config)
        models.append(model := fitting.make_model(config, data))
        rows.append(fit(config, data, model, tmp_path / name).rows)
    assert (tmp_path / "plain.pt").exists()
    ours, loop = (model.state_dict() for model in models)
    assert ours.keys() == loop.keys()
    assert all(torch.equal(ours[key], loop[key]) for key in ours)
    fitting.prepare(config)
    start = fitting.make_model(config, data).state_dict()
    assert not all(torch.equal(start[key], loop[key]) for key in loop)
    assert np.allclose(*rows, rtol=1e-5)  # Lightning logs float32


@pytest.mark.parametrize("name", ["pipeline", "step", "accuracy", "profile"])
def test_a_benchmark_runs_in_its_smallest_form_and_leaves_its_figures(
    name, tiny_network, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    overrides = [*tiny_network, "trainer.max_epochs=3"]
    command_line.main([name, "--recipes", "best", "--quick", "--folder", str(tmp_path), "--set", *overrides])
    stored = json.loads((tmp_path / f"{name}.json").read_text())
    assert {"machine", "versions", "git_commit", "command", "threads"} < stored.keys()
    assert stored["command"].startswith(f"python -m scripts.bench {name}")
    assert all(one["min"] <= one["median"] <= one["max"] for one in stored["series"])
    assert stored["series"]
    assert "Written to" in capsys.readouterr().out
    assert not list(tmp_path.glob("bench_*"))


def test_a_child_measures_copies_of_the_rows(tiny_network):
    one, three = (child.run(child.Job("best", tiny_network, copies=copies, epochs=1)) for copies in (1, 3))
    assert three["rows"] == 3 * one["rows"]
    assert len(one["epoch_seconds"]) == 1
    assert 50 < one["peak_megabytes"] < 10_000


def test_start_up_compares_fresh_processes(tmp_path: Path, monkeypatch):
    ended = startup.Start(["-c", "print('done')"], "done")
    assert 0 < ended.seconds(tmp_path) < 10
    with pytest.raises(RuntimeError, match="did not say 'else'"):
        startup.Start(["-c", "print('done')"], "else").seconds(tmp_path)
    seconds = {startup.IMPORT: 8.0, startup.STEP: 9.0, startup.GROUPED: 10.0, startup.COLD: 12.0}
    commands = {
        name: SimpleNamespace(words=["-c", ""], seconds=lambda _, name=name: seconds.get(name, 1.0))
        for name in startup.starts("best", [], tmp_path)
    }
    monkeypatch.setattr(startup, "starts", lambda *_: commands)
    targets = {target.text: target for target in startup.run(Options(repeats=2)).targets}
    assert [target.met for target in targets.values()] == [True, False, True, True, True]
    assert targets["first step, beyond the import"].value == 1


def test_a_module_is_changed_as_soon_as_it_is_imported(tmp_path: Path, monkeypatch):
    (tmp_path / "stub_to_change.py").write_text("value = 1")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", sys.meta_path[:])
    sys.meta_path.insert(0, WhenImported("stub_to_change", lambda module: setattr(module, "value", 2)))
    import stub_to_change

    assert stub_to_change.value == 2


def test_operations_are_of_the_kind_of_their_name_else_of_their_caller():
    def event(name: str, caller=None, seconds: float = 1.0):
        return SimpleNamespace(name=name, cpu_parent=caller, self_cpu_time_total=seconds * 1e6)

    scope = event(profile.AUGMENTATION)
    convolution = event("aten::conv2d")
    step_scope = event("Optimizer.step#AdamW.step")
    events = [
        scope, event("aten::grid_sampler_2d", scope), event("aten::conv2d", scope),
        convolution, event("aten::copy_", convolution), event("aten::mkldnn_convolution", convolution),
        event("autograd::engine::evaluate_function: ConvolutionBackward0", step_scope),
        event("aten::_fused_adamw_", step_scope), event("aten::add", step_scope), step_scope,
    ]  # fmt: skip
    seconds = profile.by_kind(events)
    assert {kind: value for kind, value in seconds.items() if value} == {
        "augmentation": 3, "convolution, forward": 3, "convolution, backward": 1, "optimiser": 1,
    }  # fmt: skip


def test_an_unknown_benchmark_is_named(capsys):
    with pytest.raises(SystemExit):
        command_line.main(["fast"])
    assert "no benchmark is called fast" in capsys.readouterr().err


def test_several_benchmarks_run_in_processes_of_their_own(monkeypatch):
    commands = []

    def run(command):
        commands.append(command[3:])
        return SimpleNamespace(returncode=len(commands) - 1)

    monkeypatch.setattr(command_line.subprocess, "run", run)
    with pytest.raises(SystemExit) as stop:
        command_line.main(["step", "profile", "--quick", "--recipes", "best"])
    assert commands == [["step", "--quick", "--recipes", "best"], ["profile", "--quick", "--recipes", "best"]]
    assert stop.value.code == 1
