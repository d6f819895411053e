"""From the numbers of a genome file to the parameters that they stand for."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def _transformed(x: NDArray[np.float64], transform: dict[str, dict[str, float]]) -> NDArray[np.float64]:
    ((kind, of),) = transform.items()
    with np.errstate(over="ignore"):
        if kind == "affine":
            return of["offset"] + of["scale"] * x
        if kind == "exp":
            return of["factor"] * np.exp(of["scale"] * x)
        if kind == "decay":
            return np.exp(-of["rate"] * np.exp(x - of["shift"]))
        if kind == "bounded":
            return of["low"] + (of["high"] - of["low"]) / (1 + np.exp(-x))
    raise ValueError(f"layout: {kind!r} is no transform that is known here")


def parameters_of(layout: dict[str, Any], values: list[float]) -> dict[str, NDArray[np.float64]]:
    """The parameters of each segment of a layout, by name, in its shape."""
    genome = np.asarray(values, dtype=np.float64)
    end = max((segment["start"] + int(np.prod(segment["shape"], dtype=int)) for segment in layout["segments"]), default=0)
    if genome.shape != (end,):
        raise ValueError(f"values: must be {end} numbers as `layout` says, not {genome.size}")
    if not np.isfinite(genome).all():
        raise ValueError("values: must be finite numbers")
    parameters: dict[str, NDArray[np.float64]] = {}
    for segment in layout["segments"]:
        start, shape = segment["start"], tuple(segment["shape"])
        of_segment = genome[start : start + int(np.prod(shape, dtype=int))]
        parameters[segment["name"]] = _transformed(of_segment, segment["transform"]).reshape(shape)
    return parameters
