import threading
from pathlib import Path

import pytest
from filelock import FileLock

from sign_cnn.errors import InUseError
from sign_cnn.runs.ownership import held, is_held


def test_one_holds_a_directory_at_a_time(tmp_path: Path):
    with held(tmp_path):
        assert is_held(tmp_path)
        with pytest.raises(InUseError, match="another process is at work"), held(tmp_path):
            pass
    assert not is_held(tmp_path)


def test_who_asks_at_the_same_instant_does_not_stop_a_run_from_starting(tmp_path: Path):
    asking = FileLock(tmp_path / ".lock", thread_local=False)
    asking.acquire()
    threading.Timer(0.1, asking.release).start()
    with held(tmp_path):
        assert is_held(tmp_path)


def test_to_ask_makes_nothing(tmp_path: Path):
    assert not is_held(tmp_path / "nowhere")
    assert not list(tmp_path.iterdir())
