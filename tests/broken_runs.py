"""Run directories and caches that are damaged, foreign or hostile."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from broken import Case, Corpus
from fake_runs import fake_run, predictions_of
from hostile import CANARY, claiming_gigabytes, hostile_pickle
from sample_csv import write_pair

from sign_cnn.data import cache, npz
from sign_cnn.runs.predictions import Predictions


def _run(folder: Path) -> Path:
    """A finished run with stored predictions."""
    return fake_run(folder / "run", predictions_of([0, 0, 1], [0, 2, 1], [0, 0, 1]))


def _spoiled(name: str, file: str, change: Callable[[bytes], bytes], words: str) -> Case:
    """A run with one changed file, for `python -m sign_cnn.evaluate`."""

    def make(folder: Path) -> list[str]:
        path = _run(folder) / file
        path.write_bytes(change(path.read_bytes()))
        return ["evaluate", str(path.parent)]

    return Case(name, make, f"{file} {words}")


def _instead(name: str, file: str, content: bytes, words: str) -> Case:
    return _spoiled(name, file, lambda _: content, words)


def _directory(file: str, words: str) -> Case:
    def make(folder: Path) -> list[str]:
        path = _run(folder) / file
        path.unlink()
        path.mkdir()
        return ["evaluate", str(path.parent)]

    return Case("a directory", make, f"{file} {words}")


def _json(name: str, words: str, /, **fields: Any) -> Case:
    def changed(content: bytes) -> bytes:
        return json.dumps(json.loads(content) | fields).encode()

    return _spoiled(name, "result.json", changed, f"is not a result file ({words}")


NO_RESULT = "is not a result file ("
RESULTS = [
    _instead("empty", "result.json", b"", NO_RESULT),
    _spoiled("cut short", "result.json", lambda content: content[: len(content) // 2], NO_RESULT),
    _instead("a list", "result.json", b"[1]", NO_RESULT),
    _instead("not UTF-8", "result.json", b'{"status": "\xe9"}', NO_RESULT),
    _instead("a million brackets", "result.json", b"[" * 1_000_000, NO_RESULT),
    _instead("no status", "result.json", b"{}", NO_RESULT),
    _json("unknown status", "status is 'well', expected done or failed", status="well"),
    _json("text for a seed", "seed is '0', expected a whole number", seed="0"),
    _json("NaN", "val_acc is nan, expected a number or null", val_acc=float("nan")),
    _json("a table", "name is a dict, expected text", name={"status": "done"}),
    _directory("result.json", NO_RESULT),
]


def _arrays(**changes: Any) -> bytes:
    stored = {name: getattr(predictions_of([0], [0], [0]), name) for name in Predictions.__dataclass_fields__}
    file = io.BytesIO()
    np.savez_compressed(file, **{key: value for key, value in (stored | changes).items() if value is not None})
    return file.getvalue()


def _bare() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def _npz(name: str, content: bytes, words: str = "") -> Case:
    return _instead(name, "predictions.npz", content, f"cannot be read ({words}")


PREDICTIONS = [
    _npz("empty", b""),
    _npz("text", b"label,pixel1\n"),
    _spoiled("cut short", "predictions.npz", lambda content: content[: len(content) // 2], "cannot be read ("),
    _npz("a bare array", _bare()),
    _npz("a pickle", hostile_pickle()),
    _npz("a pickle for an array", _arrays(row=np.array([{}], dtype=object)), "Object arrays cannot be loaded"),
    _npz("an array missing", _arrays(label=None), "'label is not a file in the archive'"),
    _npz("23 letters", _arrays(logits=np.zeros((1, 23), np.float16)), "logits is float16 (1, 23)"),
    _npz("rows of another length", _arrays(photograph=np.zeros(2, np.int64)), "photograph is int64 (2,)"),
    _npz("text for labels", _arrays(label=np.array(["A"])), "label is <U1 (1,)"),
    _npz("a label of no letter", _arrays(label=np.array([24], np.uint8)), "it holds unknown labels or splits"),
    _npz("a split of another name", _arrays(split=np.array(["train"])), "it holds unknown labels or splits"),
    _npz("NaN", _arrays(logits=np.full((1, 24), np.nan, np.float16)), "some logits are not finite"),
    _npz("a bomb", claiming_gigabytes(_arrays()), "it would unpack to more than a gigabyte"),
]


def _bomb(levels: int = 30) -> bytes:
    """YAML of a kilobyte that unfolds to gigabytes."""
    lines = ["a0: &a0 [x, x]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, levels))]
    return "\n".join(lines).encode()


def _yaml(name: str, content: str | bytes, words: str = "") -> Case:
    content = content.encode() if isinstance(content, str) else content
    return _instead(name, "config.yaml", content, f"cannot be read: {words}")


def _without_config(folder: Path) -> list[str]:
    (_run(folder) / "config.yaml").unlink()
    return ["evaluate", str(folder / "run")]


CONFIGS = [
    Case("missing", _without_config, "holds no config.yaml: it is not the directory of a run"),
    _yaml("a list", "- 1", "it holds no settings by name"),
    _yaml("no YAML", "model: [", "it is not valid YAML"),
    _yaml("not UTF-8", b"name: \xe9"),
    _yaml("a picture", bytes(range(256))),
    _yaml("a million brackets", "[" * 5_000, "it is not valid YAML"),
    _yaml("too long", "#" * 30_000, "it is longer than 20,000 characters"),
    _yaml("unknown setting", "model: {detph: 3}", "model.detph is not a setting"),
    _yaml("text for a number", "model: {depth: three}", "Value 'three'"),
    _yaml("a variable", "seed: 1\nname: ${oc.env:HOME}", "line 2 holds an interpolation"),
    _yaml("an import", f"name: ${{oc.coerce:{CANARY}.Kind,1}}", "line 1 holds an interpolation"),
    _yaml("a Python call", f"name: !!python/object/apply:{CANARY}.run []", "it is not valid YAML"),
    _yaml("a bomb of aliases", _bomb(), "it holds aliases"),
    _directory("config.yaml", "cannot be read: Is a directory"),
]


def _cached(name: str, change: Callable[[Path], Any], words: str = "no Sign Language MNIST in ") -> Case:
    """A parsed set whose CSVs are gone."""

    def make(folder: Path) -> list[str]:
        root = write_pair(folder / "data")
        cache.load(root, folder / "cache")
        for path in root.iterdir():
            path.unlink()
        (entry,) = (folder / "cache").glob("*.npz")
        change(entry)
        return ["load", str(root), str(folder / "cache")]

    return Case(name, make, words)


def _stored(**changes: Any) -> Callable[[Path], None]:
    """The entry with parts of its note or arrays replaced, checksums intact."""

    def change(entry: Path) -> None:
        note, arrays = npz.read(entry)
        named = {key: value for key, value in changes.items() if key in arrays}
        npz.write(entry, note | {key: changes[key] for key in changes if key not in named}, arrays | named)

    return change


def _another(entry: Path) -> None:
    """A second set beside the first, neither of the folder that is asked for."""
    other = write_pair(entry.parent.parent / "other")
    cache.load(other, entry.parent)
    note, arrays = npz.read(entry)
    changed = arrays | {"train_labels": arrays["train_labels"][::-1]}
    npz.write(entry.with_name("sign_mnist-" + "0" * 12 + ".npz"), note | {"fingerprint": "0" * 64}, changed)
    entry.unlink()


CACHES = [
    _cached("empty", lambda entry: entry.write_bytes(b"")),
    _cached("text", lambda entry: entry.write_text("label,pixel1\n")),
    _cached("cut short", lambda entry: entry.write_bytes(entry.read_bytes()[:3000])),
    _cached("a pickle", lambda entry: entry.write_bytes(hostile_pickle())),
    _cached("a bomb", lambda entry: entry.write_bytes(claiming_gigabytes(entry.read_bytes()))),
    _cached("another version", _stored(format=99)),
    _cached("another kind of data", _stored(kind="stolen")),
    _cached("another data set's fingerprint", _stored(fingerprint="0" * 64)),
    _cached("other arrays", _stored(train_labels=np.zeros(3, np.int64))),
    _cached("a directory", lambda entry: (entry.unlink(), entry.mkdir())),
    _cached("two sets to choose from", _another, "it is unclear which is meant"),
]

CORPUS: Corpus = {
    "result.json": RESULTS,
    "predictions.npz": PREDICTIONS,
    "config.yaml of a run": CONFIGS,
    "caches": CACHES,
}
