import errno
from unittest.mock import Mock

import pytest

from sign_cnn.callbacks import AtomicCheckpointIO
from sign_cnn.errors import UserError
from sign_cnn.files import atomic_write, explain_os_errors, remove_temporary, write_text


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_keeps_the_old_file_and_leaves_nothing_beside_it(error, tmp_path):
    write_text(tmp_path / "deep" / "file.txt", "old")
    with pytest.raises(error), atomic_write(tmp_path / "deep" / "file.txt") as temporary:
        temporary.write_text("half")
        raise error
    assert [path.read_text() for path in (tmp_path / "deep").iterdir()] == ["old"]


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    io, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    io.save_checkpoint({"epoch": 1}, path)
    with monkeypatch.context() as patched, pytest.raises(OSError, match="full"):
        patched.setattr("os.fsync", Mock(side_effect=OSError("full")))
        io.save_checkpoint({"epoch": 2}, path)
    assert io.load_checkpoint(path) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    for name in (".file.txt.abc.tmp", ".hidden", "own.tmp"):
        (tmp_path / name).touch()
    remove_temporary(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "own.tmp"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_an_error_of_the_file_system_names_the_place(number, tmp_path):
    with pytest.raises(UserError, match=f"^{tmp_path}: "), explain_os_errors(tmp_path):
        raise OSError(number, "Because")


def test_other_errors_of_the_system_stay_what_they_are(tmp_path):
    with pytest.raises(ConnectionError), explain_os_errors(tmp_path):
        raise ConnectionError(errno.ECONNREFUSED, "Because")
