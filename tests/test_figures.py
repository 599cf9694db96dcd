import numpy as np

from sign_cnn import figures
from sign_cnn.data.dataset import IMAGE_SIZE


def test_curves_show_what_was_measured_and_no_more(tmp_path):
    rows = [
        {"epoch": i, "train/loss": 1 / i, "train/acc": 1 - 1 / i, "val/loss": 2 / i, "val/acc": 0.5} for i in (1, 2, 3)
    ]
    both = figures.learning_curves(rows, "both", 2)
    assert [len(axes.lines) for axes in both.axes] == [3, 3]
    alone = figures.learning_curves([{k: v for k, v in row.items() if "val" not in k} for row in rows], "alone", 3)
    assert [len(axes.lines) for axes in alone.axes] == [2, 2]
    figures.save(both, tmp_path / "figures" / "curves.png")
    assert (tmp_path / "figures" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_the_confusion_matrix_writes_every_count():
    counts = np.diag(np.full(24, IMAGE_SIZE))
    counts[0, 3] = 5
    texts = [text.get_text() for text in figures.confusion_matrix(counts, "t").axes[0].texts]
    assert sorted(texts) == sorted(["28"] * 24 + ["5"])
