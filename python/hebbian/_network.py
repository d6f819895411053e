"""Networks of neurons and synapses with several states, and one update of them.

The arithmetic is that of Sandler et al., *Meta-Learning Bidirectional Update Rules* (ICML 2021), with the options of
`docs/spec.schema.json`. Neurons are `[state, example, neuron]`; forward synapses are `[state, neuron below or bias, neuron above]`, the
bias last; backward synapses are `[state, neuron above, neuron below or bias]`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[Any]
Parameters = dict[str, NDArray[np.float64]]


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda x: x,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0),
    "relu_tanh": lambda x: np.maximum(np.tanh(x), 0),
    "sigmoid": _sigmoid,
    "d_identity": np.ones_like,
    "d_tanh": lambda x: 1 - np.tanh(x) ** 2,
    "d_relu": lambda x: (x > 0).astype(x.dtype),
    "d_sigmoid": lambda x: _sigmoid(x) * (1 - _sigmoid(x)),
}
FEEDBACKS = (
    "concat-ground-truth",
    "replace-state0",
    "difference",
    "difference-times-second-state",
    "softmax-difference",
)
BACKWARD_UPDATES = ("additive", "multiplicative-second-state", "multiplicative", "none", "gated")


@dataclass
class Options:
    """The section `[rule]` of a spec, with its defaults."""

    family: str = "multi-state"
    states: int = 4
    gates: str = "scalar"
    hebbian: str = "mean"
    forward_activation: str | list[str] = "relu_tanh"
    backward_activation: str | list[str] = "relu_tanh"
    last_layer_activation: str | list[str] = "tanh"
    synapse_activation: str | list[str] = "identity"
    backward_update: str = "additive"
    feedback: str = "concat-ground-truth"
    symmetric_synapses: bool = False
    symmetric_states: bool = False
    zero_out_neurons: bool = True
    genome: str = "shared"
    normalisation: dict[str, bool] | None = None
    oja: dict[str, Any] | None = None
    saturation: dict[str, float] | None = None
    forward_synapse_update: str = "off"
    forward_activations_in_synapse_update: bool = False
    supervised_every: int = 1
    updatable: list[bool] | None = None
    evolve_initial_scale: bool = False
    synapse_mixing: bool = False
    update_normalisation: bool = False
    update_schedule: bool = False
    initial_scale: dict[str, list[int]] | None = None
    readout: bool = False
    loss_temperature: bool = False
    fan_in: dict[str, Any] | None = None

    @classmethod
    def read(cls, rule: dict[str, Any]) -> Options:
        """Reads the options of a genome file; an option that is not known here is refused, because it changes the arithmetic."""
        known = {field.name for field in fields(cls)}
        for name in rule:
            if name not in known:
                raise ValueError(f"rule.{name}: is not known to this version of the Python package")
        options = cls(**rule)
        for name, value, known_values in (
            ("feedback", options.feedback, FEEDBACKS),
            ("backward_update", options.backward_update, BACKWARD_UPDATES),
            ("hebbian", options.hebbian, ("mean", "sum")),
            ("gates", options.gates, ("scalar", "per-state")),
            ("genome", options.genome, ("shared", "per-layer")),
            ("forward_synapse_update", options.forward_synapse_update, ("off", "shared-genome", "own-genome")),
        ):
            if value not in known_values:
                raise ValueError(f"rule.{name}: {value!r} is not known to this version of the Python package")
        for name in ("forward_activation", "backward_activation", "last_layer_activation", "synapse_activation"):
            value = getattr(options, name)
            for word in [value] if isinstance(value, str) else value:
                if word not in ACTIVATIONS:
                    raise ValueError(f"rule.{name}: {word!r} is not known to this version of the Python package")
        return options

    @property
    def is_extended(self) -> bool:
        """Whether an option is on that only differentiable rules have."""
        return bool(
            self.backward_update == "gated"
            or self.synapse_mixing
            or self.update_normalisation
            or self.update_schedule
            or self.initial_scale
            or self.readout
            or self.loss_temperature
            or self.fan_in
        )

    def activate(self, name: str, x: Array) -> Array:
        """The activation of an option, of which every state may have its own."""
        words = getattr(self, name)
        if isinstance(words, str):
            return ACTIVATIONS[words](x)
        return np.stack([ACTIVATIONS[word](state) for word, state in zip(words, x, strict=True)])


class Network:
    """A network with its synapses and, where they persist, its neurons."""

    def __init__(self, options: Options, parameters: Parameters, sizes: list[int], dtype: np.dtype[Any]) -> None:
        self.options, self.sizes, self.dtype = options, sizes, dtype
        self.parameters = parameters
        self.layers = len(sizes) - 1
        if options.genome == "per-layer":
            found = len(parameters["forward_transform"])
            if found != self.layers:
                raise ValueError(f"layers: the rule has a genome for each of {found} layers of synapses, not for {self.layers}")
        flags = options.updatable or [layer > 0 for layer in range(len(sizes))]
        if len(flags) != len(sizes):
            raise ValueError(f"layers: the rule says of {len(flags)} layers whether they are updatable, not of {len(sizes)}")
        self.updatable = flags
        self.updates = 0
        self.neurons: list[Array] | None = None
        self.forward: list[Array] = []
        self.backward: list[Array] = []
        # Synapses within the neurons below (with the bias) and above each layer of synapses: only Oja's term reads them.
        self.within: list[tuple[Array, Array]] = []

    # Parameters

    def _matrix(self, name: str, layer: int) -> Array:
        matrix = self.parameters[name]
        return (matrix[layer] if matrix.ndim == 3 else matrix).astype(self.dtype)

    def _gate(self, name: str, layer: int) -> Array:
        """A gate of a layer, `[state, 1, 1]` or `[1, 1, 1]`."""
        gate = self.parameters[name]
        if self.options.genome == "per-layer":
            gate = gate[layer]
        return np.atleast_1d(gate).astype(self.dtype)[:, None, None]

    # Synapses

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
                scale, own_scale = (self.parameters[name][layer][:, None, None] for name in ("initial_scale", "initial_own_scale"))
                drawn = np.zeros((states, below + 1, above))
                drawn[:, :below] = (scale * shared + own_scale * own) / np.sqrt(below)
                forward.append(drawn)
                continue
            scale = spec.get("scale", 0.5) * float(self.parameters.get("initial_synapse_scale", np.ones(())))
            kind = spec.get("distribution", "uniform")
            bound = scale * np.sqrt(6 / (below + above)) if kind == "xavier" else scale

            def drawn_of(shape: tuple[int, ...], kind: str = kind, bound: float = bound) -> Array:
                one = (1, *shape[1:]) if options.symmetric_states else shape
                numbers = rng.normal(0, bound, one) if kind == "normal" else rng.uniform(-bound, bound, one)
                return np.broadcast_to(numbers, shape).copy()

            forward.append(drawn_of((states, below + 1, above)))
            backward.append(drawn_of((states, above, below + 1)))
        self.set_synapses(forward, None if options.symmetric_synapses else backward)

    def set_synapses(self, forward: Sequence[ArrayLike], backward: Sequence[ArrayLike] | None) -> None:
        """Takes synapses; without backward ones, they are the transposed forward ones."""
        self.forward = [np.array(synapses, dtype=self.dtype) for synapses in forward]
        self.backward = [
            np.array(synapses, dtype=self.dtype)
            for synapses in (backward if backward is not None else [f.transpose(0, 2, 1) for f in self.forward])
        ]
        for layer, (below, above) in enumerate(zip(self.sizes, self.sizes[1:])):
            for what, found, shape in (
                ("forward", self.forward, (self.options.states, below + 1, above)),
                ("backward", self.backward, (self.options.states, above, below + 1)),
            ):
                if len(found) != self.layers or found[layer].shape != shape:
                    shapes = [synapses.shape for synapses in found]
                    raise ValueError(f"synapses: the {what} ones of layer {layer} must have the shape {shape}, not {shapes}")
        self.within = [
            (
                np.zeros((self.options.states, below + 1, below + 1), self.dtype),
                np.zeros((self.options.states, above, above), self.dtype),
            )
            for below, above in zip(self.sizes, self.sizes[1:])
        ]

    def _rescale_to(self) -> Array:
        return np.atleast_1d(self.parameters.get("rescale_to", np.ones(()))).astype(self.dtype)[:, None, None]

    def _normalised(self, synapses: Array) -> Array:
        norm = np.sqrt((synapses**2).sum(axis=1, keepdims=True) + self.dtype.type(1e-9))
        result: Array = synapses / norm * self._rescale_to()
        return result

    def _in_passes(self, synapses: Array) -> Array:
        normalisation = self.options.normalisation or {}
        return self._normalised(synapses) if normalisation.get("in_activations") else synapses

    # Passes

    def _start(self, x: Array, kept: list[Array] | None) -> list[Array]:
        """Neurons at the start of an update."""
        states = self.options.states
        if kept is None or self.options.zero_out_neurons or kept[0].shape[1] != len(x):
            neurons = [np.zeros((states, len(x), size), self.dtype) for size in self.sizes]
        else:
            neurons = [layer.copy() for layer in kept]
        neurons[0] = np.zeros_like(neurons[0])
        neurons[0][0] = x
        if (self.options.normalisation or {}).get("stored"):
            self.forward = [self._normalised(synapses) for synapses in self.forward]
            self.backward = [self._normalised(synapses) for synapses in self.backward]
            self.within = [(np.zeros_like(below), np.zeros_like(above)) for below, above in self.within]
        return neurons

    @staticmethod
    def _mixed(states: Array, matrix: Array) -> Array:
        """States times a matrix `[state in, state out]`."""
        result: Array = np.einsum("kbn,ko->obn", states, matrix)
        return result

    @staticmethod
    def _with_bias(states: Array, bias: float) -> Array:
        return np.concatenate([states, np.full((*states.shape[:2], 1), bias, states.dtype)], axis=2)

    def _forward_pass(self, neurons: list[Array]) -> None:
        for layer in range(self.layers):
            if not self.updatable[layer + 1]:
                continue
            arriving = self._mixed(self._with_bias(neurons[layer], 1), self._matrix("forward_transform", layer))
            arriving = arriving @ self._in_passes(self.forward[layer])
            kept = neurons[layer + 1] * self._gate("neuron_keep", layer)
            name = "last_layer_activation" if layer + 1 == self.layers else "forward_activation"
            neurons[layer + 1] = self.options.activate(name, kept + arriving * self._gate("neuron_update", layer))

    def _output(self, neurons: list[Array]) -> Array:
        if not self.options.readout:
            of_state: Array = neurons[-1][0]
            return of_state
        result: Array = np.einsum("kbn,k->bn", neurons[-1], self.parameters["readout"].astype(self.dtype))
        return result

    def answer(self, x: Array) -> Array:
        """What a fresh copy answers, `[example, output]`."""
        synapses = self.forward, self.backward, self.within
        neurons = self._start(x, None)
        self._forward_pass(neurons)
        self.forward, self.backward, self.within = synapses
        result: Array = self._output(neurons) * self.dtype.type(self.parameters.get("loss_temperature", 1.0))
        return result

    def update(self, x: Array, target: Array) -> None:
        """One update by a batch with its targets, `[example, output]`."""
        options = self.options
        neurons = self._start(x, self.neurons)
        self._forward_pass(neurons)
        after_forward = list(neurons)
        if options.forward_synapse_update != "off":
            own = options.forward_synapse_update == "own-genome"
            self._update_synapses(neurons, neurons, "forward_synapse_" if own else "")
        if self.updates % options.supervised_every == 0:
            self._feed_back(neurons, target)
            self._backward_pass(neurons)
            lower = after_forward if options.forward_activations_in_synapse_update else neurons
            self._update_synapses(lower, neurons, "")
        self.neurons = neurons
        self.updates += 1

    def _feed_back(self, neurons: list[Array], target: Array) -> None:
        output = self._output(neurons)
        last = neurons[-1].copy()
        feedback = self.options.feedback
        if feedback == "replace-state0":
            last[0] = target
            neurons[-1] = last
            return
        last[0] = output
        if feedback == "concat-ground-truth":
            last[1] = target
        elif feedback == "difference":
            last[1] = output - target
        elif feedback == "difference-times-second-state":
            last[1] *= output - target
        else:
            shares = np.exp(output - output.max(axis=1, keepdims=True))
            last[1] = shares / shares.sum(axis=1, keepdims=True) - target
        last[2:] = 0
        neurons[-1] = last

    def _backward_pass(self, neurons: list[Array]) -> None:
        for layer in range(self.layers - 1, -1, -1):
            if not self.updatable[layer]:
                continue
            x = neurons[layer]
            mixed = self._mixed(neurons[layer + 1], self._matrix("backward_transform", layer))
            arriving = mixed @ self._in_passes(self.backward[layer])[:, :, :-1]
            keep, update = self._gate("neuron_keep", layer), self._gate("neuron_update", layer)
            kind = self.options.backward_update
            if kind == "additive":
                new = keep * x + update * arriving
            elif kind == "none":
                new = arriving
            elif kind == "gated":
                gate, through = self._gate("backward_gate", layer), self._gate("backward_input", layer)
                new = x * (keep + gate * arriving) + through * arriving
            else:
                new = keep * x * arriving
                if kind == "multiplicative-second-state":
                    new[0] = (keep * x)[0]
            neurons[layer] = self.options.activate("backward_activation", new)

    # The synapse update

    def _update_synapses(self, lower: list[Array], upper: list[Array], prefix: str) -> None:
        for layer in range(self.layers):
            self._update_layer(layer, lower[layer], upper[layer + 1], prefix)

    def _update_layer(self, layer: int, lower: Array, upper: Array, prefix: str) -> None:
        options = self.options
        pre = self._matrix(prefix + "hebbian_pre", layer)
        # [synapse state, neuron state]
        post = self._matrix(prefix + "hebbian_post", layer).T
        weight = self.dtype.type(1 / lower.shape[1] if options.hebbian == "mean" else 1)
        below = self._with_bias(lower, 1)
        sources, destinations = self._mixed(below, pre), self._mixed(upper, post)
        forward = sources.transpose(0, 2, 1) @ destinations * weight
        above_sources, below_destinations = self._mixed(upper, pre), self._mixed(below, post)
        if options.symmetric_synapses:
            backward = forward.transpose(0, 2, 1)
        else:
            backward = above_sources.transpose(0, 2, 1) @ below_destinations * weight
        needs_within = bool(options.oja and options.oja.get("synapse_weights"))
        within: list[Array] = []
        if needs_within:
            within = [np.zeros_like(block) for block in self.within[layer]]
            if not options.symmetric_synapses:
                within = [
                    sources.transpose(0, 2, 1) @ below_destinations * weight,
                    above_sources.transpose(0, 2, 1) @ destinations * weight,
                ]
        blocks = [forward, backward, *within]
        if options.symmetric_states:
            blocks = [np.broadcast_to(block[:1], block.shape).copy() for block in blocks]
        old = [self.forward[layer], self.backward[layer], *(self.within[layer] if needs_within else ())]
        if options.oja:
            blocks = self._decayed(layer, blocks, old, (lower, upper), prefix, weight)
        new = [self._new_synapses(layer, synapses, sums, prefix) for synapses, sums in zip(old, blocks)]
        self.forward[layer], self.backward[layer] = new[:2]
        if needs_within:
            self.within[layer] = (new[2], new[3])

    def _decayed(
        self, layer: int, blocks: list[Array], old: list[Array], neurons: tuple[Array, Array], prefix: str, weight: Any
    ) -> list[Array]:
        """Oja's term: a decay of synapses by what their destination does."""
        oja = self.options.oja or {}
        multiplier = oja.get("scale", 1.0) * np.sign(self._gate("forward_synapse_update" if prefix else "synapse_update", layer))
        if oja.get("multiplier"):
            multiplier = multiplier * np.abs(self._gate(prefix + "oja_multiplier", layer))
        if oja.get("synapse_weights"):
            forward, backward, within_below, within_above = old
            of_above = (forward**2).sum(axis=1) + (within_above**2).sum(axis=1)
            of_below = (backward**2).sum(axis=1) + (within_below**2).sum(axis=1)
        else:
            post = self._matrix(prefix + "hebbian_post", layer).T
            lower, upper = neurons
            of_above = (self._mixed(upper, post) ** 2).sum(axis=1) * weight
            of_below = (self._mixed(self._with_bias(lower, 0), post) ** 2).sum(axis=1) * weight
        by_destination = [of_above, of_below, of_below, of_above]
        return [
            block - multiplier.astype(self.dtype) * synapses * squares[:, None, :]
            for block, synapses, squares in zip(blocks, old, by_destination)
        ]

    def _rate(self, layer: int, prefix: str) -> Array:
        """The weight of the Hebbian sums in this update."""
        rate = self._gate("forward_synapse_update" if prefix else "synapse_update", layer)
        if self.options.fan_in:
            reference = self.options.fan_in["reference"][layer]
            rate = rate * self.dtype.type((reference / self.sizes[layer]) ** self.options.fan_in.get("exponent", 1.0))
        if self.options.update_schedule:
            early, power = self._gate("schedule_early", layer), self._gate("schedule_power", layer)
            t = self.updates
            rate = rate * np.exp(early / (1 + t) + power * np.log(1 + t)).astype(self.dtype)
        return rate

    def _new_synapses(self, layer: int, synapses: Array, sums: Array, prefix: str) -> Array:
        options = self.options
        if options.update_normalisation:
            mean_square = (sums**2).mean(axis=(1, 2), keepdims=True) + self.dtype.type(1e-10)
            sums = sums * mean_square ** (-self._gate("normalisation_exponent", layer) / 2)
        change = self._rate(layer, prefix) * sums
        if options.synapse_mixing:
            # [new state, old state]
            new = np.einsum("oq,qij->oij", self._matrix("synapse_mixing", layer), synapses) + change
        else:
            keep = self._gate("forward_synapse_keep" if prefix else "synapse_keep", layer)
            if options.saturation is None:
                new = keep * synapses + change
            else:
                saturation = np.abs(self._gate(prefix + "saturation", layer))
                speed = self.dtype.type(options.saturation.get("epsilon", 1e-3)) + saturation
                new = synapses + ((keep - 1) * synapses + change) * np.exp(-np.abs(synapses) * speed)
        return options.activate("synapse_activation", new)
