"""Networks in NumPy: their synapses, drawn or given, and what changes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._arithmetic import Arithmetic, NumPy, State
from ._options import Options

Array = NDArray[Any]
Parameters = dict[str, NDArray[np.float64]]


class Network:
    """A network with its synapses and, where they persist, its neurons."""

    def __init__(self, options: Options, parameters: Parameters, sizes: list[int], dtype: np.dtype[Any]) -> None:
        self.options, self.sizes, self.dtype = options, sizes, dtype
        self.drawing = parameters
        self.parameters = {name: np.asarray(values, dtype) for name, values in parameters.items()}
        self.arithmetic = Arithmetic(options, self.parameters, sizes, NumPy())
        self.state = State([], [], [], None, 0)

    def draw(self, rng: np.random.Generator, spec: dict[str, Any]) -> None:
        """Draws all synapses."""
        states, options = self.options.states, self.options
        forward: list[Array] = []
        backward: list[Array] = []
        for layer, (below, above) in enumerate(zip(self.sizes, self.sizes[1:])):
            if options.initial_scale:
                groups = options.initial_scale["tied_draws"]
                shared = rng.standard_normal((max(groups) + 1, below, above))[groups]
                own = rng.standard_normal((states, below, above))
                scale, own_scale = (self.drawing[name][layer][:, None, None] for name in ("initial_scale", "initial_own_scale"))
                drawn = np.zeros((states, below + 1, above))
                drawn[:, :below] = (scale * shared + own_scale * own) / np.sqrt(below)
                forward.append(drawn)
                continue
            scale = spec.get("scale", 0.5) * float(self.drawing.get("initial_synapse_scale", np.ones(())))
            kind = spec.get("distribution", "uniform")
            bound = scale * np.sqrt(6 / (below + above)) if kind == "xavier" else scale

            def drawn_of(shape: tuple[int, ...], kind: str = kind, bound: float = bound) -> Array:
                one = (1, *shape[1:]) if options.symmetric_states else shape
                numbers = rng.normal(0, bound, one) if kind == "normal" else rng.uniform(-bound, bound, one)
                drawn: Array = np.broadcast_to(numbers, shape).copy()
                return drawn

            forward.append(drawn_of((states, below + 1, above)))
            backward.append(drawn_of((states, above, below + 1)))
        self.set_synapses(forward, None if options.symmetric_synapses else backward)

    def set_synapses(self, forward: Sequence[ArrayLike], backward: Sequence[ArrayLike] | None) -> None:
        """Takes synapses; without backward ones, they are the transposed forward ones."""
        states, dtype = self.options.states, self.dtype
        of_forward = [np.array(synapses, dtype=dtype) for synapses in forward]
        of_backward = [
            np.array(synapses, dtype=dtype)
            for synapses in (backward if backward is not None else [f.transpose(0, 2, 1) for f in of_forward])
        ]
        pairs = list(zip(self.sizes, self.sizes[1:]))
        for layer, (below, above) in enumerate(pairs):
            for what, found, shape in (
                ("forward", of_forward, (states, below + 1, above)),
                ("backward", of_backward, (states, above, below + 1)),
            ):
                if len(found) != len(pairs) or found[layer].shape != shape:
                    shapes = [synapses.shape for synapses in found]
                    raise ValueError(f"synapses: the {what} ones of layer {layer} must have the shape {shape}, not {shapes}")
        within = [(np.zeros((states, below + 1, below + 1), dtype), np.zeros((states, above, above), dtype)) for below, above in pairs]
        self.state = State(of_forward, of_backward, within, None, 0)

    def answer(self, x: Array) -> Array:
        """What a fresh copy answers, `[example, output]`."""
        result: Array = self.arithmetic.answer(self.state, x)
        return result

    def update(self, x: Array, target: Array) -> None:
        """One update by a batch with its targets, `[example, output]`."""
        self.state = self.arithmetic.update(self.state, x, target)
