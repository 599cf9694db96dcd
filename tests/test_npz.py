import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sign_cnn.data import npz
from sign_cnn.data.npz import DamagedError

NOTE = {"format": 1, "name": "a set"}
ARRAY = np.arange(20_000, dtype=np.uint8).reshape(100, 200)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.npz"
    npz.write(path, NOTE, {"a": ARRAY, "b": ARRAY[0]})
    return path


def saved(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def zipped(member: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(member, "text")
    return file.getvalue()


def note_of(text: str) -> Any:
    return np.frombuffer(text.encode(), np.uint8)


FOREIGN = {
    "nothing": b"",
    "text": b"label,pixel1\n",
    "a bare array": saved(a=ARRAY)[30:],
    "a foreign zip": zipped("a.txt"),
    "a zip with a text for a note": zipped("note.npy"),
    "no note": saved(a=ARRAY),
    "numbers for a note": saved(note=np.zeros(3), a=ARRAY),
    "no JSON in the note": saved(note=note_of("{"), a=ARRAY),
    "a list in the note": saved(note=note_of("[1]"), a=ARRAY),
    "a pickle for a note": saved(note=np.array([{"format": 1}], dtype=object), a=ARRAY),
}


def test_what_was_written_is_read(path: Path) -> None:
    note, arrays = npz.read(path)
    assert note == npz.read_note(path) == NOTE
    assert list(arrays) == ["a", "b"]
    np.testing.assert_array_equal(arrays["a"], ARRAY)
    assert [entry.name for entry in path.parent.iterdir()] == ["a.npz"]


def test_plain_numpy_can_read_it(path: Path) -> None:
    with np.load(path) as file:
        np.testing.assert_array_equal(file["a"], ARRAY)
        assert json.loads(file["note"].tobytes()) == NOTE


def test_missing_file_is_not_a_damaged_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        npz.read(tmp_path / "a.npz")


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_foreign_file_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DamagedError, match=r"a\.npz"):
        npz.read(path)


def test_file_cut_short_anywhere_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    for size in np.linspace(0, len(whole) - 1, 50, dtype=int):
        path.write_bytes(whole[:size])
        with pytest.raises(DamagedError):
            npz.read(path)


def test_flipped_bit_never_changes_what_is_read(path: Path) -> None:
    whole = path.read_bytes()
    refused = 0
    for place in np.linspace(0, len(whole) - 1, 200, dtype=int):
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        try:
            note, arrays = npz.read(path)
        except DamagedError:
            refused += 1
        else:
            assert note == NOTE
            np.testing.assert_array_equal(arrays["a"], ARRAY)
    assert refused > 150


def test_full_disk_warns_and_leaves_what_was_there(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    npz.write(path, {"format": 2}, {"a": ARRAY})
    assert "No space left on device" in caplog.text
    assert npz.read_note(path) == NOTE
    assert [entry.name for entry in path.parent.iterdir()] == ["a.npz"]


def test_leftover_of_a_killed_writer_is_swept(path: Path) -> None:
    path.with_name(f".{path.name}.killed.tmp").write_bytes(b"half")
    npz.write(path, NOTE, {"a": ARRAY})
    assert [entry.name for entry in path.parent.iterdir()] == ["a.npz"]


def test_only_one_holds_the_lock(path: Path) -> None:
    from filelock import FileLock, Timeout

    with npz.locked(path) as writable:
        assert writable
        with pytest.raises(Timeout):
            FileLock(path.with_suffix(".lock")).acquire(timeout=0)
    FileLock(path.with_suffix(".lock")).acquire(timeout=0).lock.release()


def test_lock_is_let_go_after_an_error(path: Path) -> None:
    with pytest.raises(RuntimeError, match="boom"), npz.locked(path):
        raise RuntimeError("boom")
    with npz.locked(path) as writable:
        assert writable
