"""Learners in JAX: functions without side effects, for `jax.jit`, `jax.vmap` and `jax.lax.scan`.

learner = Rule.load("genome.json").jax([64, 32, 10], seed=1)
update, answer = jax.jit(learner.update), jax.jit(learner.answer)
state = learner.initial
for x, y in batches:
    state = update(state, x, y)
answer(state, x)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import DTypeLike

from ._arithmetic import Arithmetic, State
from ._network import Network
from .rule import RuleError

# An array of JAX, whose types are not always there.
Array = Any


class _Jax:
    """Arrays of JAX."""

    functions: Any = jnp

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype

    def zeros(self, shape: tuple[int, ...], like: Array) -> Array:
        return jnp.zeros(shape, like.dtype)

    def concatenated(self, arrays: Sequence[Array], axis: int) -> Array:
        return jnp.concatenate(list(arrays), axis=axis)

    def largest(self, x: Array, axis: int) -> Array:
        return x.max(axis=axis, keepdims=True)

    def logarithm(self, x: Any) -> Any:
        return jnp.log(jnp.asarray(x, self.dtype))

    def chosen(self, condition: Any, then: Callable[[Any], Any], otherwise: Callable[[Any], Any], of: Any) -> Any:
        return jax.lax.cond(condition, then, otherwise, of)


class JaxLearner:
    """How a network learns by a rule: :attr:`initial`, :meth:`update` and :meth:`answer`."""

    def __init__(self, network: Network, is_pair: bool, dtype: DTypeLike) -> None:
        self._options, self._sizes, self._is_pair, self._dtype = network.options, network.sizes, is_pair, jnp.dtype(dtype)
        parameters = {name: jnp.asarray(values, self._dtype) for name, values in network.parameters.items()}
        self._arithmetic = Arithmetic(network.options, parameters, network.sizes, _Jax(self._dtype))
        state = jax.tree_util.tree_map(lambda x: jnp.asarray(x, self._dtype), network.state._replace(updates=0.0))
        #: The network before its first update.
        self.initial = state._replace(updates=jnp.zeros((), jnp.int32))

    @property
    def outputs(self) -> int:
        """Numbers of a prediction."""
        return 1 if self._is_pair else self._sizes[-1]

    def update(self, state: State, x: Array, y: Array) -> State:
        """The network after a batch: ``x`` is ``[examples, inputs]``; ``y`` has the class of each example (a class that there is not is
        no class), or the targets ``[examples, outputs]``: 1 for the true class and -1 otherwise, or values."""
        x = self._inputs(x)
        targets = self._targets(jnp.asarray(y), x)
        if self._options.is_extended:
            # Shares of classes in place of 1 and -1.
            targets = (targets + 1) / 2
            if self._is_pair:
                targets = jnp.concatenate([targets, 1 - targets], axis=1)
        after = self._arithmetic.update(state, x, targets)
        # So that the state has one shape from the first update on, where neurons do not matter.
        return after._replace(neurons=None) if self._options.zero_out_neurons else after

    def answer(self, state: State, x: Array) -> Array:
        """What the network answers, ``[examples, outputs]``."""
        answer: Array = self._arithmetic.answer(state, self._inputs(x))
        return answer[:, :1] - answer[:, 1:] if self._is_pair else answer

    def _inputs(self, x: Array) -> Array:
        inputs = jnp.asarray(x, self._dtype)
        if inputs.ndim != 2 or inputs.shape[1] != self._sizes[0] or len(inputs) == 0:
            raise RuleError(f"x: must have the shape [examples, {self._sizes[0]}], not {list(inputs.shape)}")
        return inputs

    def _targets(self, y: Array, x: Array) -> Array:
        if y.shape == (len(x), self.outputs):
            return y.astype(self._dtype)
        if y.shape != (len(x),) or not (jnp.issubdtype(y.dtype, np.integer) or y.dtype == bool):
            raise RuleError(
                f"y: must have {len(x)} classes as whole numbers, or the shape [{len(x)}, {self.outputs}], not {list(y.shape)} of {y.dtype}"
            )
        if self.outputs == 1:
            return 2 * y[:, None].astype(self._dtype) - 1
        return 2 * jax.nn.one_hot(y, self.outputs, dtype=self._dtype) - 1
