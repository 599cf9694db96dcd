import errno

import pytest

from sign_cnn.errors import UserError
from sign_cnn.files import atomic_write, explain_os_errors, remove_temporary, write_text


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_keeps_the_old_file_and_leaves_nothing_beside_it(error, tmp_path):
    write_text(tmp_path / "deep" / "file.txt", "old")
    with pytest.raises(error), atomic_write(tmp_path / "deep" / "file.txt") as temporary:
        temporary.write_text("half")
        raise error
    assert [path.read_text() for path in (tmp_path / "deep").iterdir()] == ["old"]


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
