"""Callbacks with what stands for the services, and with those that are installed."""

import io
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("grpc")

import hebbian
from hebbian.callbacks import MLflow, Progress, TensorBoard, WandB, curve

x = hebbian.real(0.0, deviation=0.5)
SPEC = hebbian.objective("loss", x=x)(lambda x: x).spec("minimise", evaluations=20, name="<named>")
RUN = SimpleNamespace(name="runs/1")
RESULT = hebbian.Result({"x": 1.0, "w": np.zeros(3)}, 0.25, {}, 20, 2, "evaluations: 20", "runs/1", None)
FIGURES = [{"best": 3.0, "evaluations": 10.0, "loss": 3.0}, {"best": 5.0, "evaluations": 20.0}, {"evaluations": 30.0}]


def told(callback, result=RESULT):
    callback.started(RUN, SPEC)
    for number, figures in enumerate(FIGURES):
        callback.generation(number, figures)
    callback.ended(result)


class Fake:
    """Writes down what it is asked to do."""

    def __init__(self):
        self.calls = []

    def __getattr__(self, name):
        if name in ("config", "summary"):
            return SimpleNamespace(update=lambda values: self.calls.append((name, values)))
        return lambda *arguments, **named: self.calls.append((name, arguments, named))


def test_mlflow_and_wandb_get_settings_figures_and_the_result():
    mlflow, wandb = Fake(), Fake()
    told(MLflow(mlflow))
    names = [call[0] for call in mlflow.calls]
    assert names == ["log_params", "log_metrics", "log_metrics", "log_metrics", "log_params", "log_metric"]
    assert mlflow.calls[0][1][0]["strategy.kind"] == "cma-es" and mlflow.calls[1][1:] == ((FIGURES[0],), {"step": 0})
    assert mlflow.calls[4][1] == ({"best.x": 1.0},) and mlflow.calls[5][1] == ("value", 0.25)
    told(WandB(wandb))
    assert wandb.calls[0][1]["direction"] == "minimise" and wandb.calls[2][2] == {"step": 1}
    assert wandb.calls[-1] == ("summary", {"value": 0.25, "best.x": 1.0})
    for callback in (MLflow(fake := Fake()), WandB(fake)):
        told(callback, None)
    assert "log_metric" not in [call[0] for call in fake.calls]


def test_tensorboard_has_the_scalars(tmp_path):
    summary = pytest.importorskip("tensorboard.summary")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    told(TensorBoard(summary.Writer(str(tmp_path))))
    found = accumulator.EventAccumulator(str(tmp_path))
    found.Reload()
    assert sorted(found.Tags()["tensors"]) == ["hebbian/best", "hebbian/evaluations", "hebbian/loss"]
    assert [event.step for event in found.Tensors("hebbian/evaluations")] == [0, 1, 2]


def test_progress_is_a_line_in_a_terminal_and_nothing_in_a_file():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal, file = Terminal(), io.StringIO()
    told(Progress(terminal))
    told(Progress(file))
    lines = terminal.getvalue().split("\r\x1b[K")
    assert lines[2] == "generation 2, 20 of 20 evaluations, best 3"
    assert lines[-1] == "20 evaluations, value 0.25 (evaluations: 20)\n" and file.getvalue() == ""


def test_progress_is_a_curve_in_a_notebook(monkeypatch):
    shown = []
    ipython = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1))
    display = SimpleNamespace(
        HTML=lambda text: text, display=lambda page, display_id: shown.append(page) or SimpleNamespace(update=shown.append)
    )
    monkeypatch.setitem(__import__("sys").modules, "IPython", ipython)
    monkeypatch.setitem(__import__("sys").modules, "IPython.display", display)
    told(Progress())
    assert len(shown) == 5 and "&lt;named&gt; (runs/1)" in shown[0] and "<named>" not in shown[-1]
    assert "<svg" in shown[2] and "value 0.25" in shown[-1]
    assert curve([1.0]) == "" and curve([1.0] * 5000).count(",") < 1000
    assert 'points="0.0,76.0 480.0,4.0"' in curve([-1e308, 1e308])
