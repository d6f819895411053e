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
        if kind == "whole":
            return np.clip(np.floor(of["offset"] + of["scale"] * x + 0.5), of["low"], of["high"])
        if kind == "mirrored":
            return _mirrored(x, of)
    raise ValueError(f"layout: {kind!r} is no transform that is known here")


def _mirrored(x: NDArray[np.float64], of: dict[str, float]) -> NDArray[np.float64]:
    """A number that comes back from its bounds, as from mirrors."""
    is_logarithmic = bool(of.get("logarithmic", False))
    low, high = of.get("low"), of.get("high")

    def searched(bound: float) -> float:
        return float(np.log(bound)) if is_logarithmic else bound

    below, above = (None if bound is None else searched(bound) for bound in (low, high))
    u = searched(of["offset"]) + of["scale"] * x
    if below is not None and above is not None:
        width = above - below
        t = np.mod(u - below, 2 * width)
        u = below + np.minimum(t, 2 * width - t)
    elif below is not None:
        u = below + np.abs(u - below)
    elif above is not None:
        u = above - np.abs(u - above)
    values: NDArray[np.float64] = np.exp(u) if is_logarithmic else np.asarray(u)
    return values if low is None and high is None else np.clip(values, low, high)


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
