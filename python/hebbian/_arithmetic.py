"""What networks of neurons and synapses with several states compute, for arrays of NumPy, JAX and PyTorch alike.

The arithmetic is that of Sandler et al., *Meta-Learning Bidirectional Update Rules* (ICML 2021), with the options of
`docs/spec.schema.json`. Neurons are `[state, example, neuron]`; forward synapses are `[state, neuron below or bias, neuron above]`, the
bias last; backward synapses are `[state, neuron above, neuron below or bias]`. Nothing is changed in place.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from ._options import Options

# An array of whatever library.
Array = Any


class Arrays(Protocol):
    """A library of arrays, as far as it is needed."""

    # Its functions with NumPy's names: tanh, exp, sqrt, abs, sign, where, ones_like, zeros_like, einsum, stack.
    functions: Any

    def zeros(self, shape: tuple[int, ...], like: Array) -> Array: ...
    def concatenated(self, arrays: Sequence[Array], axis: int) -> Array: ...
    def largest(self, x: Array, axis: int) -> Array: ...
    def logarithm(self, x: Any) -> Any: ...
    def chosen(self, condition: Any, then: Callable[[Any], Any], otherwise: Callable[[Any], Any], of: Any) -> Any: ...


class NumPy:
    """Arrays of NumPy."""

    functions: Any = np

    def zeros(self, shape: tuple[int, ...], like: Array) -> Array:
        return np.zeros(shape, like.dtype)

    def concatenated(self, arrays: Sequence[Array], axis: int) -> Array:
        return np.concatenate(arrays, axis=axis)

    def largest(self, x: Array, axis: int) -> Array:
        return x.max(axis=axis, keepdims=True)

    def logarithm(self, x: Any) -> Any:
        return math.log(x)

    def chosen(self, condition: Any, then: Callable[[Any], Any], otherwise: Callable[[Any], Any], of: Any) -> Any:
        return then(of) if condition else otherwise(of)


class State(NamedTuple):
    """What a network has learned, layer by layer."""

    forward: list[Array]
    backward: list[Array]
    # Synapses within the neurons below (with the bias) and above each layer of synapses: only Oja's term reads them.
    within: list[tuple[Array, Array]]
    # After the last update; none before the first.
    neurons: list[Array] | None
    # How many updates there were.
    updates: Any


class Arithmetic:
    """What one rule computes in networks with so many neurons in each layer."""

    def __init__(self, options: Options, parameters: Mapping[str, Array], sizes: list[int], arrays: Arrays) -> None:
        self.options, self.parameters, self.sizes, self.arrays = options, parameters, sizes, arrays
        self.xp = arrays.functions
        self.layers = len(sizes) - 1
        if options.genome == "per-layer":
            found = len(parameters["forward_transform"])
            if found != self.layers:
                raise ValueError(f"layers: the rule has a genome for each of {found} layers of synapses, not for {self.layers}")
        flags = options.updatable or [layer > 0 for layer in range(len(sizes))]
        if len(flags) != len(sizes):
            raise ValueError(f"layers: the rule says of {len(flags)} layers whether they are updatable, not of {len(sizes)}")
        self.updatable = flags

    # Parameters

    def _matrix(self, name: str, layer: int) -> Array:
        matrix = self.parameters[name]
        return matrix[layer] if matrix.ndim == 3 else matrix

    def _gate(self, name: str, layer: int) -> Array:
        """A gate of a layer, `[state, 1, 1]` or `[1, 1, 1]`."""
        gate = self.parameters[name]
        if self.options.genome == "per-layer":
            gate = gate[layer]
        return gate.reshape(-1, 1, 1)

    # Activations

    def _activation(self, word: str, x: Array) -> Array:
        xp = self.xp
        if word.startswith("d_"):
            if word == "d_identity":
                return xp.ones_like(x)
            if word == "d_tanh":
                return 1 - xp.tanh(x) ** 2
            if word == "d_relu":
                return xp.where(x > 0, xp.ones_like(x), xp.zeros_like(x))
            of = self._activation("sigmoid", x)
            return of * (1 - of)
        if word == "sigmoid":
            return 1 / (1 + xp.exp(-x))
        if word in ("tanh", "relu_tanh"):
            x = xp.tanh(x)
        # A number that is none stays so.
        return xp.where(x < 0, xp.zeros_like(x), x) if word in ("relu", "relu_tanh") else x

    def _activated(self, option: str, x: Array) -> Array:
        """The activation of an option, of which every state may have its own."""
        words = getattr(self.options, option)
        if isinstance(words, str):
            return self._activation(words, x)
        return self.xp.stack([self._activation(word, state) for word, state in zip(words, x, strict=True)])

    # Passes

    def _normalised(self, synapses: Array) -> Array:
        norm = self.xp.sqrt((synapses**2).sum(axis=1, keepdims=True) + 1e-9)
        scaled = synapses / norm
        rescale_to = self.parameters.get("rescale_to")
        return scaled if rescale_to is None else scaled * rescale_to.reshape(-1, 1, 1)

    def _in_passes(self, synapses: Array) -> Array:
        normalisation = self.options.normalisation or {}
        return self._normalised(synapses) if normalisation.get("in_activations") else synapses

    def _started(self, state: State, x: Array, kept: list[Array] | None) -> tuple[State, list[Array]]:
        """State and neurons at the start of an update."""
        zeros, states = self.arrays.zeros, self.options.states
        if kept is None or self.options.zero_out_neurons or kept[0].shape[1] != x.shape[0]:
            neurons = [zeros((states, x.shape[0], size), x) for size in self.sizes]
        else:
            neurons = list(kept)
        neurons[0] = self.arrays.concatenated([x[None], zeros((states - 1, *x.shape), x)], 0)
        if (self.options.normalisation or {}).get("stored"):
            state = state._replace(
                forward=[self._normalised(synapses) for synapses in state.forward],
                backward=[self._normalised(synapses) for synapses in state.backward],
                within=[(self.xp.zeros_like(below), self.xp.zeros_like(above)) for below, above in state.within],
            )
        return state, neurons

    def _mixed(self, states: Array, matrix: Array) -> Array:
        """States times a matrix `[state in, state out]`."""
        return self.xp.einsum("kbn,ko->obn", states, matrix)

    def _with_bias(self, states: Array, bias: float) -> Array:
        ones = self.arrays.zeros((*states.shape[:2], 1), states) + bias
        return self.arrays.concatenated([states, ones], 2)

    def _forward_pass(self, state: State, neurons: list[Array]) -> list[Array]:
        neurons = list(neurons)
        for layer in range(self.layers):
            if not self.updatable[layer + 1]:
                continue
            arriving = self._mixed(self._with_bias(neurons[layer], 1), self._matrix("forward_transform", layer))
            arriving = arriving @ self._in_passes(state.forward[layer])
            kept = neurons[layer + 1] * self._gate("neuron_keep", layer)
            name = "last_layer_activation" if layer + 1 == self.layers else "forward_activation"
            neurons[layer + 1] = self._activated(name, kept + arriving * self._gate("neuron_update", layer))
        return neurons

    def _output(self, neurons: list[Array]) -> Array:
        if not self.options.readout:
            return neurons[-1][0]
        return self.xp.einsum("kbn,k->bn", neurons[-1], self.parameters["readout"])

    def answer(self, state: State, x: Array) -> Array:
        """What a fresh copy answers, `[example, output]`."""
        state, neurons = self._started(state, x, None)
        output = self._output(self._forward_pass(state, neurons))
        temperature = self.parameters.get("loss_temperature")
        return output if temperature is None else output * temperature

    def update(self, state: State, x: Array, target: Array) -> State:
        """One update by a batch with its targets, `[example, output]`."""
        options = self.options
        state, neurons = self._started(state, x, state.neurons)
        neurons = self._forward_pass(state, neurons)
        if options.forward_synapse_update != "off":
            own = options.forward_synapse_update == "own-genome"
            state = self._synapses_updated(state, neurons, neurons, "forward_synapse_" if own else "")
        state = state._replace(neurons=neurons)

        def supervised(state: State) -> State:
            fed_back = self._backward_pass(state, self._fed_back(neurons, target))
            lower = neurons if options.forward_activations_in_synapse_update else fed_back
            return self._synapses_updated(state, lower, fed_back, "")._replace(neurons=fed_back)

        if options.supervised_every == 1:
            state = supervised(state)
        else:
            is_supervised = state.updates % options.supervised_every == 0
            state = self.arrays.chosen(is_supervised, supervised, lambda state: state, state)
        return state._replace(updates=state.updates + 1)

    def _fed_back(self, neurons: list[Array], target: Array) -> list[Array]:
        output, last = self._output(neurons), neurons[-1]
        feedback = self.options.feedback
        if feedback == "replace-state0":
            return [*neurons[:-1], self.arrays.concatenated([target[None], last[1:]], 0)]
        if feedback == "concat-ground-truth":
            second = target
        elif feedback == "difference":
            second = output - target
        elif feedback == "difference-times-second-state":
            second = last[1] * (output - target)
        else:
            shares = self.xp.exp(output - self.arrays.largest(output, 1))
            second = shares / shares.sum(axis=1, keepdims=True) - target
        rest = self.xp.zeros_like(last[2:])
        return [*neurons[:-1], self.arrays.concatenated([output[None], second[None], rest], 0)]

    def _backward_pass(self, state: State, neurons: list[Array]) -> list[Array]:
        neurons = list(neurons)
        for layer in range(self.layers - 1, -1, -1):
            if not self.updatable[layer]:
                continue
            x = neurons[layer]
            mixed = self._mixed(neurons[layer + 1], self._matrix("backward_transform", layer))
            arriving = mixed @ self._in_passes(state.backward[layer])[:, :, :-1]
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
                    new = self.arrays.concatenated([(keep * x)[:1], new[1:]], 0)
            neurons[layer] = self._activated("backward_activation", new)
        return neurons

    # The synapse update

    def _synapses_updated(self, state: State, lower: list[Array], upper: list[Array], prefix: str) -> State:
        layers = [self._layer_updated(state, layer, lower[layer], upper[layer + 1], prefix) for layer in range(self.layers)]
        forward, backward, within = (list(of) for of in zip(*layers))
        return state._replace(forward=forward, backward=backward, within=within)

    def _layer_updated(self, state: State, layer: int, lower: Array, upper: Array, prefix: str) -> tuple[Array, Array, tuple[Array, Array]]:
        options = self.options
        pre = self._matrix(prefix + "hebbian_pre", layer)
        # [synapse state, neuron state]
        post = self._matrix(prefix + "hebbian_post", layer).T
        weight = 1 / lower.shape[1] if options.hebbian == "mean" else 1
        below = self._with_bias(lower, 1)
        sources, destinations = self._mixed(below, pre), self._mixed(upper, post)
        forward = sources.swapaxes(1, 2) @ destinations * weight
        above_sources, below_destinations = self._mixed(upper, pre), self._mixed(below, post)
        swapped = above_sources.swapaxes(1, 2)
        backward = forward.swapaxes(1, 2) if options.symmetric_synapses else swapped @ below_destinations * weight
        needs_within = bool(options.oja and options.oja.get("synapse_weights"))
        within: list[Array] = []
        if needs_within:
            within = [self.xp.zeros_like(block) for block in state.within[layer]]
            if not options.symmetric_synapses:
                within = [
                    sources.swapaxes(1, 2) @ below_destinations * weight,
                    swapped @ destinations * weight,
                ]
        blocks = [forward, backward, *within]
        if options.symmetric_states:
            blocks = [self.xp.broadcast_to(block[:1], block.shape) for block in blocks]
        old = [state.forward[layer], state.backward[layer], *(state.within[layer] if needs_within else ())]
        if options.oja:
            blocks = self._decayed(layer, blocks, old, (lower, upper), prefix, weight)
        new = [self._new_synapses(layer, synapses, sums, prefix, state.updates) for synapses, sums in zip(old, blocks)]
        return new[0], new[1], (new[2], new[3]) if needs_within else state.within[layer]

    def _decayed(
        self, layer: int, blocks: list[Array], old: list[Array], neurons: tuple[Array, Array], prefix: str, weight: float
    ) -> list[Array]:
        """Oja's term: a decay of synapses by what their destination does."""
        oja, xp = self.options.oja or {}, self.xp
        multiplier = oja.get("scale", 1.0) * xp.sign(self._gate("forward_synapse_update" if prefix else "synapse_update", layer))
        if oja.get("multiplier"):
            multiplier = multiplier * xp.abs(self._gate(prefix + "oja_multiplier", layer))
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
        return [block - multiplier * synapses * squares[:, None, :] for block, synapses, squares in zip(blocks, old, by_destination)]

    def _rate(self, layer: int, prefix: str, updates: Any) -> Array:
        """The weight of the Hebbian sums in this update."""
        rate = self._gate("forward_synapse_update" if prefix else "synapse_update", layer)
        if self.options.fan_in:
            reference = self.options.fan_in["reference"][layer]
            rate = rate * float((reference / self.sizes[layer]) ** self.options.fan_in.get("exponent", 1.0))
        if self.options.update_schedule:
            early, power = self._gate("schedule_early", layer), self._gate("schedule_power", layer)
            rate = rate * self.xp.exp(early / (1 + updates) + power * self.arrays.logarithm(1 + updates))
        return rate

    def _new_synapses(self, layer: int, synapses: Array, sums: Array, prefix: str, updates: Any) -> Array:
        options, xp = self.options, self.xp
        if options.update_normalisation:
            mean_square = (sums**2).mean(axis=(1, 2), keepdims=True) + 1e-10
            sums = sums * mean_square ** (-self._gate("normalisation_exponent", layer) / 2)
        change = self._rate(layer, prefix, updates) * sums
        if options.synapse_mixing:
            # [new state, old state]
            new = xp.einsum("oq,qij->oij", self._matrix("synapse_mixing", layer), synapses) + change
        else:
            keep = self._gate("forward_synapse_keep" if prefix else "synapse_keep", layer)
            if options.saturation is None:
                new = keep * synapses + change
            else:
                saturation = xp.abs(self._gate(prefix + "saturation", layer))
                speed = options.saturation.get("epsilon", 1e-3) + saturation
                new = synapses + ((keep - 1) * synapses + change) * xp.exp(-xp.abs(synapses) * speed)
        return self._activated("synapse_activation", new)
