import errno

import pytest

from sign_cnn.errors import UserError
from sign_cnn.files import explained, replacing, sweep_temporary, write_text


def test_a_file_appears_whole(tmp_path):
    write_text(tmp_path / "deep" / "file.txt", "héllo\n")
    assert (tmp_path / "deep" / "file.txt").read_text(encoding="utf-8") == "héllo\n"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["file.txt"]


def test_a_failure_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "file.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_the_new_file_is_as_readable_as_others(tmp_path):
    (tmp_path / "usual.txt").touch()
    write_text(tmp_path / "file.txt", "x")
    assert (tmp_path / "file.txt").stat().st_mode == (tmp_path / "usual.txt").stat().st_mode


def test_the_mask_of_new_files_which_all_threads_share_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("os.umask", lambda _: pytest.fail("another thread may be making a file"))
    write_text(tmp_path / "file.txt", "x")


def test_an_error_of_the_network_is_no_fault_of_the_disk(tmp_path):
    with pytest.raises(ConnectionRefusedError), explained(tmp_path):
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")


def test_what_a_killed_process_left_is_swept(tmp_path):
    with pytest.raises(SystemExit), replacing(tmp_path / "a.bin") as temporary:
        left = temporary.with_name(temporary.name)
        (tmp_path / ".b.bin.xyz.tmp").write_text("left by a kill")
        raise SystemExit
    assert not left.exists()
    write_text(tmp_path / ".hidden", "stays")
    sweep_temporary(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".hidden"]


def test_what_is_being_written_stays_and_what_was_left_goes(tmp_path):
    left = tmp_path / ".file.txt.abc.tmp"
    left.write_text("left by a kill")
    with replacing(tmp_path / "file.txt") as temporary:
        assert not left.exists()
        temporary.write_text("new")
        sweep_temporary(tmp_path)
        write_text(tmp_path / "file.txt", "of another process, meanwhile")
    assert (tmp_path / "file.txt").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_file_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(OSError, match="No space") as caught, replacing(tmp_path / "a.txt"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(caught.value) == f"[Errno {errno.ENOSPC}] No space left on device: '{tmp_path / 'a.txt'}'"
    with pytest.raises(UserError, match=r"a\.txt: No space left on device; make room"), explained(tmp_path):
        raise caught.value
    with pytest.raises(UserError, match=r"Permission denied; choose"), explained(tmp_path):
        raise OSError(errno.EACCES, "Permission denied")
