from pathlib import Path

import pytest
import pytorch_lightning as pl

from sign_cnn.callbacks import AtomicCheckpointIO, StickyEarlyStopping
from sign_cnn.errors import UserError


def test_early_stopping_stays_stopped_after_a_restart(tmp_path: Path):
    before, after = (StickyEarlyStopping("val/loss", patience=2) for _ in range(2))
    trainer = pl.Trainer(default_root_dir=tmp_path, logger=False, accelerator="cpu")
    for wait, stopped in ((1, False), (2, True)):
        before.wait_count = wait
        after.load_state_dict(before.state_dict())
        after.on_train_start(trainer, pl.LightningModule())
        assert trainer.should_stop == stopped


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one_and_a_damaged_one_is_refused(
    tmp_path, monkeypatch
):
    io, path = AtomicCheckpointIO(), tmp_path / "last.ckpt"
    io.save_checkpoint({"epoch": 1}, path)
    with monkeypatch.context() as patched, pytest.raises(OSError, match="full"):
        patched.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError("full")))
        io.save_checkpoint({"epoch": 2}, path)
    assert io.load_checkpoint(path) == {"epoch": 1}
    assert list(tmp_path.iterdir()) == [path]
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(UserError, match=r"last\.ckpt"):
        io.load_checkpoint(path)
