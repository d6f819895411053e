"""The notebook of the examples, executed where nbclient and a kernel are installed."""

from pathlib import Path

import pytest

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipykernel")
PATH = Path(__file__).parents[2] / "examples" / "python.ipynb"


def test_the_notebook_runs_from_top_to_bottom(program, tmp_path):
    notebook = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = {cell.id: cell.get("outputs", []) for cell in notebook.cells}
    page = outputs["search"][0]["data"]["text/html"]
    assert "<svg" in page and "evaluations, value" in page
    assert "'layers': 3" in outputs["search"][-1]["data"]["text/plain"]
    assert outputs["study"][-1]["data"]["text/plain"].startswith("{'x': ")
