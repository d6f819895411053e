"""A rule is what a genome file holds; a learner is one network that it trains.

rule = Rule.load("genome.json")
learner = rule.learner([64, 32, 10], seed=1)
for x, y in batches:                # x [examples, 64], y [examples]: classes from 0
    learner.update(x, y)
learner.predict(x)                  # classes
learner(x)                          # [examples, 10]: what the classes are chosen by
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ._escape import lines
from ._genome import parameters_of
from ._network import Network
from ._options import Options
from ._plain import shown, whole

if TYPE_CHECKING:
    import torch

    from .jax import JaxLearner
    from .torch import TorchLearner

# Forward synapses of each layer, and backward ones or none.
Synapses = tuple[Sequence[ArrayLike], Sequence[ArrayLike] | None]
FORMAT = "hebbian-genome-1"
FAMILY = "multi-state"


class RuleError(ValueError):
    """A file or an argument that is not as it must be; the message names what is wrong and what would be right."""

    def __init__(self, message: str) -> None:
        # A file is of others.
        super().__init__(lines(message))


class Rule:
    """An evolved rule of the multi-state family. Its networks are made by :meth:`learner`."""

    def __init__(self, genome: dict[str, Any]) -> None:
        """Takes the content of a genome file."""
        if not isinstance(genome, dict) or genome.get("format") != FORMAT:
            raise RuleError(f"format: must be {FORMAT!r}, as `hebbian run` and `hebbian result` write it")
        missing = [key for key in ("layout", "values", "rule", "network", "provenance") if key not in genome]
        if missing:
            raise RuleError(f"{missing[0]}: is missing")
        for key, kind, what in (
            ("layout", dict, "an object"),
            ("values", list, "a list of numbers"),
            ("rule", dict, "an object"),
            ("network", dict, "an object"),
            ("provenance", dict, "an object"),
        ):
            if not isinstance(genome[key], kind):
                raise RuleError(f"{key}: must be {what}, not {shown(genome[key])}")
        for place, value in enumerate(genome["values"]):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise RuleError(f"values[{place}]: must be a number, not {shown(value)}")
        family = genome["rule"].get("family", FAMILY)
        if family != FAMILY:
            raise RuleError(f"rule.family: {family!r} is not implemented in NumPy; {FAMILY!r} is")
        try:
            self.options = Options.read(genome["rule"])
            self.parameters = parameters_of(genome["layout"], genome["values"])
        except RuleError:
            raise
        except KeyError as error:
            raise RuleError(f"layout: {error} is missing") from None
        except (AttributeError, IndexError, OverflowError, TypeError, ValueError) as error:
            # What names no field is about the numbers' places.
            named = str(error).startswith(("layout", "values", "rule"))
            raise RuleError(str(error) if named else f"layout: cannot be read: {error}") from None
        self.network: dict[str, Any] = genome["network"]
        self.provenance: dict[str, Any] = genome["provenance"]

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Rule:
        """Reads a genome file."""
        with open(path, encoding="utf-8") as file:
            try:
                genome = json.load(file)
            except ValueError as error:
                raise RuleError(f"{path}: is not JSON: {error}") from error
        try:
            return cls(genome)
        except RuleError as error:
            raise RuleError(f"{path}: {error}") from error

    @property
    def hidden(self) -> list[int] | None:
        """The hidden layers of the networks that the rule was evolved with; none if they were mixed."""
        return self.network.get("hidden")

    def learner(
        self,
        layers: Sequence[int],
        *,
        seed: int | None = None,
        synapses: Synapses | None = None,
        dtype: DTypeLike = np.float64,
    ) -> Learner:
        """A fresh network with so many neurons in each layer, the input's and the output's included.

        Its synapses are drawn by ``seed`` from the distribution that the rule was evolved with, by NumPy's generator: they are other
        numbers than the program draws. ``synapses`` gives them: forward ones ``[state, neuron below or bias, neuron above]`` for each
        layer, and backward ones ``[state, neuron above, neuron below or bias]``, or None for the transposed forward ones.
        """
        return Learner(*self._network(layers, seed, synapses, dtype))

    def torch(
        self,
        layers: Sequence[int],
        *,
        seed: int | None = None,
        synapses: Synapses | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> TorchLearner:
        """The same as a module of PyTorch, which must be installed; of 32 bits unless ``dtype`` says otherwise."""
        from .torch import TorchLearner

        network, is_pair = self._network(layers, seed, synapses, np.float64)
        return TorchLearner(network, is_pair, dtype, device)

    def jax(
        self,
        layers: Sequence[int],
        *,
        seed: int | None = None,
        synapses: Synapses | None = None,
        dtype: DTypeLike = np.float32,
    ) -> JaxLearner:
        """The same as functions of JAX, which must be installed."""
        from .jax import JaxLearner

        return JaxLearner(*self._network(layers, seed, synapses, np.float64), dtype)

    def _network(self, layers: Sequence[int], seed: int | None, synapses: Synapses | None, dtype: DTypeLike) -> tuple[Network, bool]:
        """A fresh network, and whether its two outputs stand for one."""
        try:
            sizes = [whole("layers", size, 1) for size in layers]
        except (TypeError, ValueError):
            sizes = []
        if len(sizes) < 2:
            raise RuleError(f"layers: must be two or more numbers of neurons from 1 on, not {shown(layers)}")
        # One output of a rule that knows two classes by two neurons.
        is_pair = self.options.is_extended and sizes[-1] == 1
        if is_pair:
            sizes[-1] = 2
        try:
            network = Network(self.options, self.parameters, sizes, np.dtype(dtype))
            if synapses is None:
                network.draw(np.random.default_rng(seed), self.network.get("initial_synapses", {}))
            else:
                network.set_synapses(*synapses)
        except ValueError as error:
            raise RuleError(str(error)) from None
        return network, is_pair


class Learner:
    """A network that learns by a rule, batch by batch."""

    def __init__(self, network: Network, is_pair: bool) -> None:
        self.network = network
        self._is_pair = is_pair

    @property
    def outputs(self) -> int:
        """Numbers of a prediction."""
        return 1 if self._is_pair else self.network.sizes[-1]

    def update(self, x: ArrayLike, y: ArrayLike) -> None:
        """Learns from a batch: ``x`` is ``[examples, inputs]``; ``y`` has the class of each example, or the targets ``[examples,
        outputs]``: 1 for the true class and -1 otherwise, or values."""
        x = self._inputs(x)
        targets = self._targets(np.asarray(y), len(x))
        if self.network.options.is_extended:
            # Shares of classes in place of 1 and -1.
            targets = (targets + 1) / 2
            if self._is_pair:
                targets = np.concatenate([targets, 1 - targets], axis=1)
        self.network.update(x, targets)

    def __call__(self, x: ArrayLike) -> NDArray[Any]:
        """What the network answers, ``[examples, outputs]``. It learns nothing from it."""
        answer = self.network.answer(self._inputs(x))
        if self._is_pair:
            answer = answer[:, :1] - answer[:, 1:]
        return answer

    def predict(self, x: ArrayLike) -> NDArray[np.intp]:
        """The class of each example; with one output, 1 where it is positive and 0 elsewhere."""
        answer = self(x)
        return (answer[:, 0] > 0).astype(np.intp) if self.outputs == 1 else answer.argmax(axis=1)

    def _inputs(self, x: ArrayLike) -> NDArray[Any]:
        try:
            inputs = np.asarray(x, dtype=self.network.dtype)
        except (TypeError, ValueError) as error:
            raise RuleError(f"x: must be numbers of the shape [examples, {self.network.sizes[0]}]: {error}") from error
        if inputs.ndim != 2 or inputs.shape[1] != self.network.sizes[0] or len(inputs) == 0:
            raise RuleError(f"x: must have the shape [examples, {self.network.sizes[0]}], not {list(inputs.shape)}")
        if not np.isfinite(inputs).all():
            raise RuleError("x: must be finite numbers")
        return inputs

    def _targets(self, y: NDArray[Any], examples: int) -> NDArray[Any]:
        if y.shape == (examples, self.outputs):
            try:
                values = y.astype(self.network.dtype)
            except (TypeError, ValueError) as error:
                raise RuleError(f"y: must be numbers: {error}") from error
            if not np.isfinite(values).all():
                raise RuleError("y: must be finite numbers")
            return values
        if y.shape != (examples,) or not (np.issubdtype(y.dtype, np.integer) or y.dtype == bool):
            raise RuleError(
                f"y: must have {examples} classes as whole numbers, or the shape [{examples}, {self.outputs}], "
                f"not {list(y.shape)} of {y.dtype}"
            )
        classes = y.astype(np.intp)
        count = max(self.outputs, 2)
        first, last = int(np.min(classes)), int(np.max(classes))
        if first < 0 or last >= count:
            raise RuleError(f"y: classes must be from 0 to {count - 1}, not {first} to {last}")
        if self.outputs == 1:
            return (2 * classes[:, None] - 1).astype(self.network.dtype)
        targets = np.full((examples, self.outputs), -1, dtype=self.network.dtype)
        targets[np.arange(examples), classes] = 1
        return targets
