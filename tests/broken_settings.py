"""Command lines of `python -m sign_cnn.train` that cannot work."""

from pathlib import Path

from broken import Case, Corpus


def _line(overrides: str, words: str, name: str = "") -> Case:
    return Case(name or overrides, lambda _: overrides.split(), words)


UNKNOWN = [
    _line("model.detph=2", "detph"),
    _line("+model.detph=2", "model.detph is not a setting: model has width, depth"),
    _line("++model.detph=2", "model.detph is not a setting"),
    _line("+modle.depth=2", "modle is not a setting: the root has name"),
    _line("~model.depth", "model.depth"),
    _line("model=resnet", "Could not find 'model/resnet'"),
    _line("experiment=none_such", "Could not find 'experiment/none_such'"),
    _line("experiment=../../pyproject", "pyproject"),
    _line("depth=3", "depth"),
    _line("model.depth", "model.depth"),
    _line("model.depth=[", "model.depth=["),
]

TYPES = [
    _line("model.depth=two", "model.depth=two"),
    _line("model.depth=2.5", "model.depth=2.5"),
    _line("model.dense_units=64", "model.dense_units=64"),
    _line("model.dense_units=[a]", "dense_units"),
    _line("model.activation=tanh", "model.activation=tanh"),
    _line("seed=null", "seed=null"),
    _line("name=null", "name=null"),
    _line("optimizer.lr=${seeed}", "seeed"),
    _line("name=${oc.env:NO_SUCH_VARIABLE}", "NO_SUCH_VARIABLE"),
]

BOUNDS = [
    _line("optimizer.lr=nan", "optimizer.lr=nan must be above 0"),
    _line("optimizer.lr=inf", "optimizer.lr=inf must be above 0 and at most 100"),
    _line("optimizer.lr=0", "optimizer.lr=0.0 must be above 0"),
    _line("optimizer.weight_decay=-1", "optimizer.weight_decay=-1.0 must be at least 0"),
    _line("augment.zoom=nan", "augment.zoom=nan must be"),
    _line("augment.rotation=200", "at most 180"),
    _line("seed=-1", "seed=-1 must be at least 0"),
    _line("seed=4294967296", "seed=4294967296 must be at least 0 and at most 4294967295"),
    _line("data.split_seed=-1", "data.split_seed=-1 must be at least 0"),
    _line("data.split_seed=9999999999", "at most 4294967295"),
    _line("data.batch_size=0", "data.batch_size=0 must be at least 1"),
    _line("data.folds=1", "data.folds=1 must be at least 2"),
    _line("model.dropout=1", "model.dropout=1.0 must be"),
    _line("model.depth=1000000", "model.depth=1000000 must be at least 1 and at most 16"),
    _line("model.width=1000000000", "model.width=1000000000 must be at least 1 and at most 4096"),
    _line("model.dense_units=[64,0]", "model.dense_units=[64, 0] must be at least 1"),
    _line("trainer.max_epochs=0", "trainer.max_epochs=0 must be at least 1"),
]

GEOMETRY = [
    _line("model.depth=5", "5 blocks do not fit 28×28 pixels (28 → 14 → 7 → 3 → 1 → 0): at most 4"),
    _line("model.kernel_size=4", "model.kernel_size=4 must be odd"),
    _line("model.width=4096 model.depth=4", "more than 200,000,000: make it narrower"),
    _line("model.channels=[]", "model.channels=[] has no block"),
    _line("model.channels=[8,16] model.width=4", "model.width=4 are both set: keep one"),
]

CONFLICTS = [
    _line("data.fold=5", "data.fold=5 must be below data.folds=5"),
    _line("data.val_size=0.2", "only with data.val_split=random: set data.val_size=null"),
    _line("data.val_split=random data.val_size=1.5", "a share, below 1"),
    _line("data.val_split=random data.val_size=100 data.fold=1", "are both set: keep one"),
    _line("data.val_split=none trainer.patience=3", "set trainer.patience=0"),
    _line("scheduler.name=one_cycle optimizer.name=sgd optimizer.momentum=0.5", "leave optimizer.momentum at 0.9"),
    _line("scheduler.name=one_cycle optimizer.beta1=0.5", "leave optimizer.beta1 at 0.9"),
    _line("scheduler.name=cosine scheduler.warmup_epochs=10", "must be below trainer.max_epochs=10"),
]

SWEEPS = [
    _line("sweep=design", "sweep=design is a sweep: add -m"),
    _line("-m name=../elsewhere seed=0,1", "name='../elsewhere' cannot be"),
    _line("-m name=s seed=1,1", "two jobs of the sweep are both called seed=1"),
    _line("-m name=s model.dropout=interval(0,0.5)", "is continuous: list its values"),
]


def _name(name: str, value: str, shown: str = "") -> Case:
    return Case(name, lambda _: [f"name={value}"], f"name={shown or repr(value)} cannot be a folder's name")


NAMES = [
    _name("empty", ""),
    _name("blank", "  "),
    _name("this folder", "."),
    _name("the folder above", ".."),
    _name("a path upwards", "../../elsewhere"),
    _name("a path from the root", "/tmp/elsewhere"),
    _name("a path", "a/b"),
    _name("a backslash", "a\\b"),
    _name("a line break", "a\nb"),
    _name("a zero byte", "a\0b"),
    _name("no text", "\udcff"),
    _name("long", "x" * 300, f"'{'x' * 40}\\u2026'"),
]


def _on_data(name: str, overrides: str, words: str) -> Case:
    """Settings that only the data show to be impossible: a set of two photographs."""
    from sample_csv import write_pair

    def make(folder: Path) -> list[str]:
        return [f"data.root={write_pair(folder)}", *overrides.split()]

    return Case(name, make, words)


DATA = [
    _on_data("more folds than photographs", "data.folds=4", "data.folds=4 is more than the 3 photographs there are"),
    _on_data("more folds than rows of a letter", "data.folds=3", "data.folds=3 is more than the 1 rows of the most"),
    _on_data(
        "more folds than rows", "data.folds=9 data.val_split=random", "data.folds=9 is more than the 3 rows there"
    ),
    _on_data("nothing left to train on", "data.val_split=random data.val_size=3", "leaves nothing to train on"),
    _on_data("a share of all", "data.val_split=random data.val_size=0.9", "leaves nothing to train on"),
]

CORPUS: Corpus = {
    "unknown settings": UNKNOWN,
    "settings of a wrong type": TYPES,
    "settings out of bounds": BOUNDS,
    "impossible networks": GEOMETRY,
    "conflicting settings": CONFLICTS,
    "sweeps": SWEEPS,
    "names": NAMES,
    "settings that the data do not allow": DATA,
}
