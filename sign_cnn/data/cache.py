"""The set, parsed once: every later start reads one .npz instead of two CSVs."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from sign_cnn.data import csv, csv_files, npz
from sign_cnn.data.csv_files import Source, Sources
from sign_cnn.data.dataset import IMAGE_SIZE, DataKind, SignDataset
from sign_cnn.data.identity import SYNTHETIC_MARKER, fingerprint, kind_of
from sign_cnn.data.npz import DamagedError, Note
from sign_cnn.errors import DataError
from sign_cnn.letters import NUM_CLASSES, letter_of

_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")

FORMAT = 1
"""Version of the stored layout; entries of another are parsed anew."""


def load(root: Path, cache_dir: Path, name: str = "sign_mnist") -> SignDataset:
    """The set whose CSVs lie under `root`: from the cache if that holds it, else parsed and put there.

    A cached set is the right one if the CSVs' paths, sizes and times are those noted, or else their bytes. If there is
    no CSV under `root`, the cache alone is enough.

    Args:
        root: folder of the CSVs; need not exist when the set is cached.
        cache_dir: folder of the cached sets; made if need be. Where it cannot be written, a warning is logged.
        name: beginning of the cached file's name, to keep sets apart that share a cache.

    Raises:
        DataError: if a CSV is missing, damaged or wrong, or if without CSVs the cache leaves a choice.
    """
    found = csv_files.look(root)
    if found is None:
        return _load_without_csvs(root, cache_dir, name)
    entry = _entry(root, cache_dir, name)
    state = _state(root, found)
    if dataset := _load_if(entry, "state", state):
        return dataset
    with npz.locked(entry) as writable:
        if dataset := _load_if(entry, "state", state):
            return dataset  # another process was faster
        digests = _digests(found)
        dataset = _load_if(entry, "digests", digests) or _parse(found)
        if _state(root, found) != state:
            raise DataError(f"the CSVs in {root} changed while they were read; start again when they are complete")
        dataset = replace(dataset, kind=kind_of(dataset.fingerprint, root))
        if writable:
            _store(entry, dataset, {"state": state, "digests": digests})
    return dataset


def stored_fingerprint(root: Path, cache_dir: Path, name: str = "sign_mnist") -> tuple[str, DataKind] | None:
    """Fingerprint and kind of what `load` would return, without a look at any pixel; None if only `load` can tell."""
    try:
        found = csv_files.look(root)
        if found is None:
            notes = list(_notes_without_csvs(root, cache_dir, name).values())
        else:
            note = _note(_entry(root, cache_dir, name))
            notes = [note] if note and note["state"] == _state(root, found) else []
    except DataError:
        return None
    answers: set[tuple[str, DataKind]] = {(note["fingerprint"], note["kind"]) for note in notes}
    return answers.pop() if len(answers) == 1 else None


def available(root: Path, cache_dir: Path, name: str = "sign_mnist") -> bool:
    """Whether there is the set of `root`, or the official one in the cache, without a look at other sets there.

    True also of a damaged or half set, so that `load` tells what is wrong.
    """
    try:
        if csv_files.look(root) is not None:
            return True
    except DataError:
        return True
    own = _entry(root, cache_dir, name)
    notes = _notes_without_csvs(root, cache_dir, name)
    return any(path == own or note["kind"] == "official" for path, note in notes.items())


def _entry(root: Path, cache_dir: Path, name: str) -> Path:
    return cache_dir / f"{name}-{npz.short_hash(root.resolve().as_posix())}.npz"


def _state(root: Path, found: Sources) -> Note:
    """What tells cheaply whether the files are still those that were parsed."""
    return {
        "files": [_stamp(source, root) for source in (found.train, found.test)],
        "synthetic": (root / SYNTHETIC_MARKER).is_file(),
    }


def _stamp(source: Source, root: Path) -> Note:
    with source.reading():
        status = source.path.stat()
    if status.st_size > csv_files.MAX_FILE_BYTES:
        gigabytes = f"{status.st_size / 2**30:.1f} GiB large, at most {csv_files.MAX_FILE_BYTES >> 30} is expected"
        raise DataError(f"{source} is {gigabytes}; copy or download it again")
    file = source.path.relative_to(root).as_posix()
    return {"file": file, "member": source.member, "size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _digests(found: Sources) -> list[str]:
    return [_digest(source) for source in (found.train, found.test)]


def _digest(source: Source) -> str:
    with source.reading(), source.path.open("rb") as file:
        return f"{hashlib.file_digest(file, 'sha256').hexdigest()} {source.member or ''}"


def _parse(found: Sources) -> SignDataset:
    arrays = (*csv.read(found.train), *csv.read(found.test))
    _check_trainable(found.train, *arrays[:2])
    return SignDataset(*arrays, fingerprint=fingerprint(*arrays), kind="custom")


def _check_trainable(source: Source, images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    if (labels == labels[0]).all():
        letter = letter_of(int(labels[0]))
        raise DataError(f"{source} shows the letter {letter} alone; a network needs two or more to tell apart")
    if images.min() == images.max():
        raise DataError(f"{source} has {images.min()} for every pixel, so there is nothing to see; download it again")


def _store(entry: Path, dataset: SignDataset, origin: Note) -> None:
    note = {"format": FORMAT, "fingerprint": dataset.fingerprint, "kind": dataset.kind} | origin
    npz.write(entry, note, {name: getattr(dataset, name) for name in _ARRAYS})


def _note(entry: Path) -> Note | None:
    try:
        note = npz.read_note(entry)
    except FileNotFoundError:
        return None
    except DamagedError as error:
        npz.warn_once(f"a cached set is damaged and not used: {error}")
        return None
    return note if _is_ours(note) else None


def _is_ours(note: Note) -> bool:
    return (
        note.get("format") == FORMAT
        and isinstance(note.get("fingerprint"), str)
        and note.get("kind") in get_args(DataKind)
        and {"state", "digests"} <= note.keys()
    )


def _load_if(entry: Path, key: str, value: Any) -> SignDataset | None:
    note = _note(entry)
    return _load_entry(entry) if note is not None and note[key] == value else None


def _load_entry(entry: Path) -> SignDataset | None:
    """A cached set, checked to the last bit; None if it is damaged or gone."""
    try:
        note, arrays = npz.read(entry)
        dataset = SignDataset(**arrays, fingerprint=note["fingerprint"], kind=note["kind"])
        _check(dataset)
    except FileNotFoundError:
        return None
    except (DamagedError, KeyError, TypeError) as error:  # the latter two: other arrays, another note
        npz.warn_once(f"a cached set is damaged and not used: {error}")
        return None
    return dataset


def _check(dataset: SignDataset) -> None:
    arrays = [getattr(dataset, name) for name in _ARRAYS]
    if any(array.dtype != np.uint8 for array in arrays) or fingerprint(*arrays) != dataset.fingerprint:
        raise DamagedError("not the arrays that the fingerprint was made of")
    for images, labels in (arrays[:2], arrays[2:]):
        if labels.ndim != 1 or images.shape != (len(labels), IMAGE_SIZE, IMAGE_SIZE):
            raise DamagedError(f"shapes {images.shape} and {labels.shape} do not belong together")
        if labels.size == 0 or labels.max() >= NUM_CLASSES:
            raise DamagedError("it holds labels that are no classes, or none")


def _load_without_csvs(root: Path, cache_dir: Path, name: str) -> SignDataset:
    notes = _notes_without_csvs(root, cache_dir, name)
    if len({note["fingerprint"] for note in notes.values()}) > 1:
        listed = ", ".join(f"{path.name} ({note['kind']}, {note['fingerprint'][:12]})" for path, note in notes.items())
        raise DataError(
            f"there are no CSVs in {root} and several sets in {cache_dir}; it is unclear which is meant: {listed}; "
            "delete the cached files that are not, or name the folder of the CSVs with SIGN_MNIST_DIR or data.root"
        )
    for entry in notes:
        if dataset := _load_entry(entry):
            return dataset
    raise csv_files.missing(root)


def _notes_without_csvs(root: Path, cache_dir: Path, name: str) -> dict[Path, Note]:
    """The cached sets to choose from: the one made from `root`, else the official one, else all of that name."""
    own = _entry(root, cache_dir, name)
    pattern = re.compile(rf"{re.escape(name)}-[0-9a-f]{{12}}\.npz")
    others = sorted(path for path in cache_dir.glob("*.npz") if pattern.fullmatch(path.name) and path != own)
    notes = {path: note for path in (own, *others) if (note := _note(path))}
    official = {path: note for path, note in notes.items() if note["kind"] == "official"}
    return {own: notes[own]} if own in notes else official or notes
