"""Learners in PyTorch: `Rule.load("genome.json").torch([64, 32, 10], seed=1)`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from ._arithmetic import Arithmetic, State
from ._network import Network
from .rule import RuleError

# A tensor of PyTorch, whose types are not always there.
Tensor = Any


class _Torch:
    """Tensors of PyTorch."""

    functions: Any = torch

    def zeros(self, shape: tuple[int, ...], like: Tensor) -> Tensor:
        return torch.zeros(shape, dtype=like.dtype, device=like.device)

    def concatenated(self, arrays: Sequence[Tensor], axis: int) -> Tensor:
        return torch.cat(list(arrays), dim=axis)

    def largest(self, x: Tensor, axis: int) -> Tensor:
        return x.amax(dim=axis, keepdim=True)

    def logarithm(self, x: Any) -> Any:
        return math.log(x)

    def chosen(self, condition: Any, then: Callable[[Any], Any], otherwise: Callable[[Any], Any], of: Any) -> Any:
        return then(of) if condition else otherwise(of)


class TorchLearner(torch.nn.Module):
    """A network that learns by a rule, batch by batch. What it has learned is in its buffers: `state_dict`, `to(device)`."""

    def __init__(self, network: Network, is_pair: bool, dtype: torch.dtype | None, device: torch.device | str | None) -> None:
        super().__init__()
        self._network, self._is_pair = network, is_pair
        state = network.state

        def buffer(name: str, values: Any) -> None:
            self.register_buffer(name, torch.tensor(values, dtype=dtype or torch.float32, device=device))

        for name, values in network.parameters.items():
            buffer(f"rule_{name}", values)
        for layer in range(len(network.sizes) - 1):
            buffer(f"forward_{layer}", state.forward[layer])
            buffer(f"backward_{layer}", state.backward[layer])
            for place, block in enumerate(state.within[layer]):
                buffer(f"within_{layer}_{place}", block)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self._neurons: list[Tensor] | None = None

    @property
    def outputs(self) -> int:
        """Numbers of a prediction."""
        return 1 if self._is_pair else self._network.sizes[-1]

    def _arithmetic(self) -> Arithmetic:
        parameters = {name: getattr(self, f"rule_{name}") for name in self._network.parameters}
        return Arithmetic(self._network.options, parameters, self._network.sizes, _Torch())

    def _state(self) -> State:
        layers = range(len(self._network.sizes) - 1)
        return State(
            [getattr(self, f"forward_{layer}") for layer in layers],
            [getattr(self, f"backward_{layer}") for layer in layers],
            [(getattr(self, f"within_{layer}_0"), getattr(self, f"within_{layer}_1")) for layer in layers],
            self._neurons,
            int(self.updates),
        )

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def update(self, x: Tensor, y: Tensor) -> None:
        """Learns from a batch: ``x`` is ``[examples, inputs]``; ``y`` has the class of each example, or the targets ``[examples,
        outputs]``: 1 for the true class and -1 otherwise, or values."""
        x = self._inputs(x)
        if not torch.isfinite(x).all():
            raise RuleError("x: must be finite numbers")
        targets = self._targets(torch.as_tensor(y, device=x.device), x)
        if self._network.options.is_extended:
            # Shares of classes in place of 1 and -1.
            targets = (targets + 1) / 2
            if self._is_pair:
                targets = torch.cat([targets, 1 - targets], dim=1)
        state = self._arithmetic().update(self._state(), x, targets)
        for layer, (forward, backward, within) in enumerate(zip(state.forward, state.backward, state.within)):
            setattr(self, f"forward_{layer}", forward)
            setattr(self, f"backward_{layer}", backward)
            for place, block in enumerate(within):
                setattr(self, f"within_{layer}_{place}", block)
        self._neurons = None if self._network.options.zero_out_neurons else state.neurons
        self.updates += 1

    def forward(self, x: Tensor) -> Tensor:
        """What the network answers, ``[examples, outputs]``. It learns nothing from it."""
        answer: Tensor = self._arithmetic().answer(self._state(), self._inputs(x))
        return answer[:, :1] - answer[:, 1:] if self._is_pair else answer

    def predict(self, x: Tensor) -> Tensor:
        """The class of each example; with one output, 1 where it is positive and 0 elsewhere."""
        answer: Tensor = self(x)
        return (answer[:, 0] > 0).long() if self.outputs == 1 else answer.argmax(dim=1)

    def _inputs(self, x: Tensor) -> Tensor:
        like: Tensor = self.forward_0
        inputs = torch.as_tensor(x, dtype=like.dtype, device=like.device)
        if inputs.ndim != 2 or inputs.shape[1] != self._network.sizes[0] or len(inputs) == 0:
            raise RuleError(f"x: must have the shape [examples, {self._network.sizes[0]}], not {list(inputs.shape)}")
        return inputs

    def _targets(self, y: Tensor, x: Tensor) -> Tensor:
        if y.shape == (len(x), self.outputs):
            values = y.to(x.dtype)
            if not torch.isfinite(values).all():
                raise RuleError("y: must be finite numbers")
            return values
        if y.shape != (len(x),) or y.is_floating_point() or y.is_complex():
            raise RuleError(
                f"y: must have {len(x)} classes as whole numbers, or the shape [{len(x)}, {self.outputs}], not {list(y.shape)} of {y.dtype}"
            )
        classes, count = y.long(), max(self.outputs, 2)
        if classes.min() < 0 or classes.max() >= count:
            raise RuleError(f"y: classes must be from 0 to {count - 1}, not {int(classes.min())} to {int(classes.max())}")
        if self.outputs == 1:
            return 2 * classes[:, None].to(x.dtype) - 1
        return 2 * torch.nn.functional.one_hot(classes, self.outputs).to(x.dtype) - 1
