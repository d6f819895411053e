"""The options of the multi-state family."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

ACTIVATIONS = ("identity", "tanh", "relu", "relu_tanh", "sigmoid", "d_identity", "d_tanh", "d_relu", "d_sigmoid")
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
