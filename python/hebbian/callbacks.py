"""Where the figures of a search go: MLflow, Weights & Biases, TensorBoard, a notebook or a terminal.

hebbian.maximise(score, evaluations=1000, callbacks=[Progress(), TensorBoard(SummaryWriter())])
"""

from __future__ import annotations

import html
import math
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from ._escape import line
from .client import Run
from .optimise import Callback, Result

__all__ = ["Callback", "MLflow", "Progress", "TensorBoard", "WandB"]


def _settings(run: Run, spec: Mapping[str, Any]) -> dict[str, Any]:
    """What is worth to be compared between runs."""
    problem = spec["problem"]
    settings = {"run": run.name, "problem": problem["name"], "direction": problem["direction"], "seed": spec["seed"]}
    return {**settings, **{f"strategy.{key}": value for key, value in spec["strategy"].items()}}


def _plain(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters without arrays, which these services do not take."""
    return {name: value for name, value in parameters.items() if not hasattr(value, "shape")}


class MLflow(Callback):
    """Logs to the active run of MLflow, or starts one."""

    def __init__(self, mlflow: Any = None) -> None:
        if mlflow is None:
            import mlflow  # type: ignore[no-redef]
        self._mlflow = mlflow

    def started(self, run: Run, spec: Mapping[str, Any]) -> None:
        self._mlflow.log_params(_settings(run, spec))

    def generation(self, number: int, figures: Mapping[str, float]) -> None:
        self._mlflow.log_metrics(dict(figures), step=number)

    def ended(self, result: Result | None) -> None:
        if result is None:
            return
        self._mlflow.log_params({f"best.{name}": value for name, value in _plain(result.parameters).items()})
        if result.value is not None:
            self._mlflow.log_metric("value", result.value)


class WandB(Callback):
    """Logs to a run of Weights & Biases: what `wandb.init()` gave."""

    def __init__(self, run: Any) -> None:
        self._run = run

    def started(self, run: Run, spec: Mapping[str, Any]) -> None:
        self._run.config.update(_settings(run, spec))

    def generation(self, number: int, figures: Mapping[str, float]) -> None:
        self._run.log(dict(figures), step=number)

    def ended(self, result: Result | None) -> None:
        if result is not None:
            best = {f"best.{name}": value for name, value in _plain(result.parameters).items()}
            self._run.summary.update({"value": result.value, **best})


class TensorBoard(Callback):
    """Writes scalars: to a `SummaryWriter` of PyTorch or tensorboardX, or a `tensorboard.summary.Writer`."""

    def __init__(self, writer: Any, prefix: str = "hebbian/") -> None:
        self._writer, self._prefix = writer, prefix

    def generation(self, number: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._writer.add_scalar(self._prefix + name, value, number)

    def ended(self, result: Result | None) -> None:
        del result
        self._writer.flush()


class Progress(Callback):
    """Shows how far a search is: in a notebook with a curve of the best values, elsewhere in a line of a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._display: Any = None
        self._best: list[float] = []
        self._limit: float | None = None
        self._sign = 1.0
        self._title = ""

    def started(self, run: Run, spec: Mapping[str, Any]) -> None:
        self._best = []
        self._limit = spec["stop"].get("evaluations")
        self._sign = -1.0 if spec["problem"]["direction"] == "minimise" else 1.0
        self._title = line(f"{spec['name']} ({run.name})")
        if _in_notebook():
            from IPython.display import HTML, display

            self._display = display(HTML(self._page("")), display_id=True)

    def generation(self, number: int, figures: Mapping[str, float]) -> None:
        if "best" in figures:
            before = self._best[-1] if self._best else -math.inf * self._sign
            self._best.append(max(before, figures["best"], key=lambda value: value * self._sign))
        done = f"{figures['evaluations']:,.0f}" + ("" if self._limit is None else f" of {self._limit:,.0f}") + " evaluations"
        self._show(f"generation {number + 1}, {done}" + (f", best {self._best[-1]:.6g}" if self._best else ""))

    def ended(self, result: Result | None) -> None:
        if result is not None:
            value = "" if result.value is None else f", value {result.value:.6g}"
            self._show(f"{result.evaluations:,} evaluations{value} ({result.stopped})")
        if self._display is None and self._stream.isatty():
            self._stream.write("\n")

    def _show(self, text: str) -> None:
        text = line(text)
        if self._display is not None:
            from IPython.display import HTML

            self._display.update(HTML(self._page(text)))
        elif self._stream.isatty():
            self._stream.write(f"\r\x1b[K{text}")
            self._stream.flush()

    def _page(self, text: str) -> str:
        return f"<div><b>{html.escape(self._title)}</b> {html.escape(text)}<br>{curve(self._best)}</div>"


def curve(values: list[float], width: int = 480, height: int = 80) -> str:
    """Numbers as a line, from the least to the greatest; an SVG."""
    if len(values) < 2:
        return ""
    step = max(1, len(values) // width)
    shown = values[::step]
    # Halves, as the difference of two numbers need not be one.
    low, high = min(shown) / 2, max(shown) / 2
    span = (high - low) or 1.0
    points = " ".join(
        f"{place * width / (len(shown) - 1):.1f},{height - 4 - (value / 2 - low) / span * (height - 8):.1f}"
        for place, value in enumerate(shown)
    )
    drawn = f'<polyline points="{points}" fill="none" stroke="#2a6fb0" stroke-width="1.5"/>'
    return f'<svg width="{width}" height="{height}" role="img" aria-label="best value by generation">{drawn}</svg>'


def _in_notebook() -> bool:
    try:
        from IPython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and hasattr(shell, "kernel")
