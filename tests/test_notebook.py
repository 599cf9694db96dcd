from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
NOTEBOOK = Path(__file__).parents[1] / "docs" / "quickstart.ipynb"


def test_the_notebook_runs_on_drawn_hands_and_draws_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("SIGN_MNIST_DIR", raising=False)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    small = '"data=synthetic", "data.synthetic={train_photos: 3, test_photos: 1, shots: 1}", "data.folds=3"'
    for cell in notebook.cells:
        cell.source = cell.source.replace('"data=auto"', small)
    client = nbclient.NotebookClient(
        notebook, timeout=120, resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs = [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    ]
    said = "".join(output.get("text", "") for output in outputs)
    assert "data: synthetic hands" in said
    assert "% of rows in a session that was held out" in said
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3
