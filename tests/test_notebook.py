from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
NOTEBOOK = Path(__file__).parents[1] / "docs" / "quickstart.ipynb"


def test_the_notebook_runs_on_synthetic_hands_and_draws_its_figures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("SIGN_MNIST_DIR", raising=False)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    size = "data.synthetic={train_photos: 3, test_photos: 1, shots: 1, variants: 8}"
    for cell in notebook.cells:
        cell.source = cell.source.replace(
            '"data=auto"', f'"data=synthetic", "{size}", "data.folds=3"'
        )
    place = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=120, resources=place).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in cells for output in cell.outputs]
    assert "data: synthetic hands" in "".join(output.get("text", "") for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 3
