"""The golden vectors of the program's own tests, which were made by other implementations."""

import json
from pathlib import Path

import numpy as np
import pytest

from hebbian._network import Network
from hebbian._options import Options

FIXTURES = Path(__file__).parents[2] / "tests" / "fixtures"
# Updates that have half of a backward pass: the program has none such, and its own tests take them apart.
HALVES = {"q2_mixed_flags"}


def tensor(of):
    return np.array(of["data"], dtype=np.float64).reshape(of["shape"])


def states_first(of):
    return np.moveaxis(tensor(of), -1, 0)


def words(value):
    if value is None:
        return "identity"
    return value["per_state"] if isinstance(value, dict) else value


def close(found, expected, what):
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10, err_msg=what)


def options_of(spec, states, updatable, per_state):
    def dashed(word):
        return word.replace("_", "-").replace("groundtruth", "ground-truth")

    normalisation, oja, saturation = spec["synapse_normalization"], spec["oja"], spec["saturation_type"]
    return Options(
        states=states,
        gates="per-state" if per_state else "scalar",
        hebbian="sum",
        **{f"{name}_activation": words(spec[f"{name}_activation"]) for name in ("forward", "backward", "last_layer", "synapse")},
        backward_update=dashed(spec["backward_update"]),
        feedback=dashed(spec["feedback"]),
        symmetric_synapses=spec["symmetric_in_out_synapses"],
        symmetric_states=spec["symmetric_states_synapses"],
        zero_out_neurons=spec["zero_out_neurons"],
        genome="per-layer" if spec["per_layer_genome"] else "shared",
        normalisation=normalisation
        and {
            "stored": normalisation["normalize_synapses"],
            "in_activations": normalisation["normalize_in_activations"],
            "rescale": normalisation["rescale"],
        },
        oja=oja
        and {
            "scale": oja["extra_multiplier"],
            "multiplier": oja["use_multiplier"],
            "synapse_weights": oja["use_synapse_weights"],
        },
        saturation={"epsilon": spec["saturation_eps"]} if saturation == "exp_update" else None,
        forward_synapse_update="own-genome" if spec["forward_synapse_update"] else "off",
        forward_activations_in_synapse_update=spec["use_forward_activations_for_synapse_update"],
        supervised_every=spec["supervised_every"] or 1,
        updatable=updatable,
    )


def parameters_of(genome, options, states, layers):
    parameters = {}
    per_layer = options.genome == "per-layer"

    def put(name, value, is_matrix=False):
        value = np.asarray(value)
        if per_layer and not is_matrix and name != "rescale_to" and value.ndim == 0:
            value = np.full(layers, value)
        parameters[name] = value

    transform = tensor(genome["neuron/transform"])
    put("forward_transform", transform[..., :states, states:], True)
    put("backward_transform", transform[..., states:, :states], True)
    put("neuron_keep", tensor(genome["neuron/keep"]))
    put("neuron_update", tensor(genome["neuron/update"]))
    for prefix, source in (("", "synapse"), ("forward_synapse_", "forward_synapse")):
        if f"{source}/keep" not in genome:
            source = "synapse"
        put(f"{prefix}hebbian_pre", tensor(genome[f"{source}/transform/pre"]), True)
        put(f"{prefix}hebbian_post", tensor(genome[f"{source}/transform/post"]), True)
        name = prefix or "synapse_"
        put(f"{name}keep", tensor(genome[f"{source}/keep"]))
        put(f"{name}update", tensor(genome[f"{source}/update"]))
        for key, segment in (("transform/ojas_multiplier", "oja_multiplier"), ("saturation", "saturation")):
            if f"{source}/{key}" in genome:
                put(f"{prefix}{segment}", tensor(genome[f"{source}/{key}"]))
    if "synapse/rescale_to" in genome and options.normalisation and options.normalisation["rescale"]:
        put("rescale_to", tensor(genome["synapse/rescale_to"]))
    return parameters


def run_golden(vector):
    states, sizes = vector["num_states"], vector["layer_sizes"]
    options = options_of(vector["spec"], states, vector["updatable"], True)
    network = Network(options, parameters_of(vector["genome"], options, states, len(sizes) - 1), sizes, np.dtype(np.float64))
    initial = vector["initial_synapses"]
    network.set_synapses(*([states_first(of) for of in initial[way]] for way in ("forward", "backward")))
    if options.oja and options.oja["synapse_weights"]:
        full = [states_first(of) for of in initial["full"]]
        within = [(f[:, : n + 1, : n + 1].copy(), f[:, n + 1 :, n + 1 :].copy()) for f, n in zip(full, sizes)]
        network.state = network.state._replace(within=within)
    for place, step in enumerate(vector["steps"]):
        flags = step["backward_pass_neurons"], step["backward_pass_synapses"]
        if flags == (True, True):
            network.state = network.state._replace(updates=step["step"] or 0)
        else:
            assert flags == (False, False)
            # No backward pass, whatever the number of the update says.
            options.supervised_every, every = 2, options.supervised_every
            network.state = network.state._replace(updates=1)
        network.update(tensor(step["input"]), tensor(step["target"]))
        if flags == (False, False):
            options.supervised_every = every
        expected = step["expected"]
        for layer, of in enumerate(expected["layers"]):
            close(network.state.neurons[layer], np.moveaxis(tensor(of), -1, 0), f"step {place}, neurons of layer {layer}")
        for way in ("forward", "backward"):
            for layer, of in enumerate(expected[f"{way}_synapses"]):
                close(getattr(network.state, way)[layer], states_first(of), f"step {place}, {way} synapses of layer {layer}")
    if options.zero_out_neurons:
        validation = vector["validation"]
        close(network.answer(tensor(validation["input"])), tensor(validation["expected"]["prediction"]), "prediction")


def run_extended(vector):
    spec, states, sizes = vector["spec"], vector["num_states"], vector["layer_sizes"]
    options = Options(
        states=states,
        gates="scalar" if spec.get("scalar_gates") or spec.get("gates") == "scalar" else "per-state",
        hebbian=spec["hebbian"],
        forward_activation=words(spec["forward_activation"]),
        backward_activation=words(spec["backward_activation"]),
        last_layer_activation="identity",
        backward_update=spec["backward_update"].replace("_", "-"),
        feedback="softmax-difference",
        symmetric_synapses=True,
        genome="per-layer" if spec["per_layer_genome"] else "shared",
        updatable=[bool(spec.get("updatable_input"))] + [True] * (len(sizes) - 1),
        synapse_mixing=bool(spec.get("synapse_mixing")),
        update_normalisation=bool(spec.get("update_normalisation")),
        update_schedule=bool(spec.get("update_schedule")),
        readout=bool(spec.get("readout")),
        loss_temperature=bool(spec.get("loss_temperature")),
        fan_in=spec.get("fan_in"),
    )
    parameters = {name: tensor(of) for name, of in vector["parameters"].items()}
    network = Network(options, parameters, sizes, np.dtype(np.float64))
    network.set_synapses([states_first(of) for of in vector["initial_synapses"]], None)
    after = {of["updates"]: of for of in vector["expected"]["after"]}
    assert vector["updates"] in after
    logits = {of["updates"]: tensor(of["logits"]) for of in vector["expected"]["query_logits"]}
    temperature = float(parameters.get("loss_temperature", 1))

    def check_logits(updates):
        if updates in logits:
            close(network.answer(tensor(vector["query"]["input"])) / temperature, logits[updates], f"after {updates} updates")

    check_logits(0)
    for place, step in enumerate(vector["steps"]):
        network.update(tensor(step["input"]), tensor(step["target"]))
        for layer, of in enumerate(after.get(place + 1, {}).get("synapses", [])):
            close(network.state.forward[layer], states_first(of), f"update {place}, synapses of layer {layer}")
            close(network.state.backward[layer], network.state.forward[layer].transpose(0, 2, 1), "both directions are the same")
        check_logits(place + 1)


@pytest.mark.parametrize("path", sorted((FIXTURES / "golden").glob("*.json")), ids=lambda path: path.stem)
def test_golden(path):
    if path.stem in HALVES:
        pytest.skip("has halves of a backward pass")
    run_golden(json.loads(path.read_text()))


@pytest.mark.parametrize("path", sorted((FIXTURES / "golden-gradients").glob("*.json")), ids=lambda path: path.stem)
def test_extended(path):
    run_extended(json.loads(path.read_text()))
