import subprocess
import sys
from pathlib import Path

import pytest

from sign_cnn.train import CONFIG_DIR


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs processes as on Linux")
def test_killed_runs_lose_nothing(tmp_path: Path):
    """A slice of `make torture`."""
    command = [sys.executable, "-m", "scripts.torture", "--only", "quick", "--kills", "2", "--folder", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(CONFIG_DIR).parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 faults" in done.stdout
