#!/usr/bin/env python3
"""The gradient of a genome in JAX: what `cargo bench -p hebbian-tests --bench gradient` does, as a user would write it.

An episode draws the initial synapses, makes T updates, predicts a query and is differentiated by the genome. Each network is
compiled by `jit` for one task and by `jit(vmap)` for 8 tasks at once, with and without `jax.checkpoint` around an update; XLA takes
all cores. The best of them all is the peer. Before anything is measured, loss and gradient are compared with the golden vectors
that have the options of the images' rule. `--ours FILE` names the benchmark's `--json` of the same machine and hour, for the ratio.
"""

import argparse
import functools
import json
import pathlib
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

NETWORKS = {"small": (64, 32, 10), "wide": (784, 128, 10), "deep": (784, 256, 128, 10)}
UPDATES, BATCH, QUERY, TASKS = 20, 64, 256, 8
GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "fixtures/golden-gradients/e10_everything.json"
EPSILON = 1e-10
ACTIVATIONS = {
    "identity": lambda x: x,
    "tanh": jnp.tanh,
    "d_tanh": lambda x: 1 - jnp.tanh(x) ** 2,
    "relu": lambda x: jnp.maximum(x, 0),
    "d_relu": lambda x: (x > 0).astype(x.dtype),
    "sigmoid": jax.nn.sigmoid,
    "d_sigmoid": lambda x: jax.nn.sigmoid(x) * (1 - jax.nn.sigmoid(x)),
    "d_identity": jnp.ones_like,
    "relu_tanh": lambda x: jnp.maximum(0.0, jnp.tanh(x)),
}
IMAGES = {
    "forward": ("tanh", "d_tanh", "tanh", "d_tanh"),
    "backward": ("tanh",) * 4,
    "tied": (0, 0, 1, 1),
    "updates_input": False,
    "mean": True,
}


def activate(names, values):
    """A layer's states, each by its own function."""
    return jnp.stack([ACTIVATIONS[name](value) for name, value in zip(names, values, strict=True)])


def forward_pass(options, p, synapses, x):
    """States of all layers, [state, example, neuron], and the prediction."""
    states = len(options["forward"])
    layers = [x[None]]
    for layer, weights in enumerate(synapses):
        matrix = p["forward_transform"][layer]
        if layer == 0:
            arriving = matrix[0][:, None, None] * (x @ weights[:, :-1])
        else:
            mixed = jnp.einsum("kbn,ko->obn", layers[-1], matrix)
            arriving = mixed @ weights[:, :-1]
        arriving = arriving + matrix.sum(0)[:, None, None] * weights[:, -1:]
        scaled = p["neuron_update"][layer][:, None, None] * arriving
        layers.append(scaled if layer + 1 == len(synapses) else activate(options["forward"], scaled))
    assert layers[-1].shape[0] == states
    return layers, jnp.einsum("o,obm->bm", p["readout"], layers[-1])


def update(options, p, factors, synapses, t, x, target):
    """Feedback, backward pass, Hebbian sums, synapses; also the update's own prediction."""
    states, last = len(options["forward"]), len(synapses)
    layers, y = forward_pass(options, p, synapses, x)
    if options["updates_input"]:
        layers[0] = jnp.concatenate([layers[0], jnp.zeros((states - 1,) + x.shape, x.dtype)])
    after = list(layers)
    after[last] = jnp.stack([y, jax.nn.softmax(y) - target] + [jnp.zeros_like(y)] * (states - 2))
    for layer in range(last - 1, -1 if options["updates_input"] else 0, -1):
        mixed = jnp.einsum("kbm,ko->obm", after[layer + 1], p["backward_transform"][layer])
        arriving = mixed @ synapses[layer][:, :-1].swapaxes(1, 2)
        keep, gate, own = (p[name][layer][:, None, None] for name in ("neuron_keep", "backward_gate", "backward_input"))
        after[layer] = activate(options["backward"], layers[layer] * (keep + gate * arriving) + own * arriving)
    new = []
    for layer, weights in enumerate(synapses):
        pre, post = p["hebbian_pre"][layer], p["hebbian_post"][layer]
        destination = jnp.einsum("ol,lbm->obm", post, after[layer + 1])
        if layer == 0 and not options["updates_input"]:
            sums = pre[0][:, None, None] * (x.T @ destination)
        else:
            sums = jnp.einsum("kbn,ko->obn", after[layer], pre).swapaxes(1, 2) @ destination
        bias = pre.sum(0)[:, None, None] * destination.sum(1, keepdims=True)
        sums = jnp.concatenate([sums, bias], axis=1)
        sums = sums / len(x) if options["mean"] else sums
        mean_square = (sums**2).mean((1, 2)) + EPSILON
        step = p["synapse_update"][layer] * factors[layer]
        step = step * jnp.exp(p["schedule_early"][layer] / (1 + t) + p["schedule_power"][layer] * jnp.log1p(t))
        step = step * mean_square ** (-0.5 * p["normalisation_exponent"][layer])
        kept = jnp.einsum("oq,qnm->onm", p["synapse_mixing"][layer], weights)
        new.append(kept + step[:, None, None] * sums)
    return new, y


def cross_entropy(p, y, target):
    """With the temperature that only the loss has."""
    return -(target * jax.nn.log_softmax(p["loss_temperature"] * y)).sum(-1).mean()


def loss(options, p, factors, draws, steps, query, weights, with_checkpoints):
    """The loss of an unroll; weights of each update's own batch and of the query at the end."""
    synapses = []
    for layer, (shared, own) in enumerate(draws):
        scales = (p[name][layer][:, None, None] for name in ("initial_scale", "initial_own_scale"))
        rows = next(scales) * shared[jnp.array(options["tied"])] + next(scales) * own
        bias = jnp.zeros((rows.shape[0], 1, rows.shape[2]), rows.dtype)
        synapses.append(jnp.concatenate([rows / rows.shape[1] ** 0.5, bias], axis=1))

    def step(synapses, at):
        t, x, target, weight = at
        synapses, y = update(options, p, factors, synapses, t, x, target)
        return synapses, weight * cross_entropy(p, y, target)

    step = jax.checkpoint(step) if with_checkpoints else step
    inputs, targets = steps
    times = jnp.arange(len(inputs), dtype=inputs.dtype)
    synapses, losses = jax.lax.scan(step, synapses, (times, inputs, targets, weights[0]))
    return losses.sum() + weights[1] * cross_entropy(p, forward_pass(options, p, synapses, query[0])[1], query[1])


def parameters(genome, segments):
    """By name, after the transforms."""
    p = {}
    for segment in segments:
        count = int(np.prod(segment["shape"]))
        x, f = genome[segment["start"] : segment["start"] + count], segment["transform"]
        value = {
            "affine": lambda x, f: f["offset"] + f["scale"] * x,
            "exp": lambda x, f: f["factor"] * jnp.exp(f["scale"] * x),
        }[f["kind"]](x, f)
        p[segment["name"]] = value.reshape(segment["shape"])
    return p


def tensor(entry):
    """A tensor of a golden file."""
    return np.array(entry["data"], np.float64).reshape(entry["shape"])


def check():
    """Compares loss and gradient with the golden vectors."""
    with jax.enable_x64(True):
        file = json.loads(GOLDEN.read_text())
        spec, k = file["spec"], file["num_states"]
        words = lambda given: (given or "identity",) * k if given is None or isinstance(given, str) else tuple(given)
        options = {
            "forward": words(spec["forward_activation"]),
            "backward": words(spec["backward_activation"]),
            "tied": tuple(spec["initial_scale"]["tied_draws"]),
            "updates_input": spec.get("updatable_input", False),
            "mean": spec["hebbian"] == "mean",
        }
        layers = len(file["layer_sizes"]) - 1
        draws = [tuple(tensor(file["draws"][of][layer]) for of in ("shared", "own")) for layer in range(layers)]
        steps = tuple(np.stack([tensor(step[of]) for step in file["steps"]]) for of in ("input", "target"))
        query = tuple(tensor(file["query"][of]) for of in ("input", "target"))
        assert not any(file["query_weights"][:-1]), "only the query at the end is measured here"
        weights = (np.array(file["support_weights"]), file["query_weights"][-1])
        fan_in, factors = spec.get("fan_in"), [1.0] * layers
        if fan_in:
            pairs = zip(fan_in["reference"], file["layer_sizes"])
            factors = [(reference / n) ** fan_in["exponent"] for reference, n in pairs]
        genome = np.array(file["genome"]["data"] if isinstance(file["genome"], dict) else file["genome"])
        of_genome = lambda genome: loss(
            options, parameters(genome, file["segments"]), factors, draws, steps, query, weights, False
        )
        found, gradient = jax.value_and_grad(of_genome)(genome)
        expected = file["expected"]["gradient"]
        expected = np.array(expected["data"] if isinstance(expected, dict) else expected)
        assert abs(found - file["expected"]["loss"]) < 1e-9, (found, file["expected"]["loss"])
        assert np.abs(gradient - expected).max() < 1e-9 * np.abs(expected).max()
    print("loss and gradient are those of the golden vectors")


def start(layers):
    """The parameters of the images' rule near its start, as search values of no transform."""
    key, k, count = jax.random.key(1), 4, len(layers) - 1
    matrix = lambda at: 0.3 * jnp.eye(k) + 0.05 * jax.random.normal(jax.random.fold_in(key, at), (count, k, k))
    full = lambda value: jnp.full((count, k), value)
    return {
        "forward_transform": matrix(0),
        "backward_transform": matrix(1),
        "hebbian_pre": matrix(2),
        "hebbian_post": matrix(3),
        "synapse_mixing": jnp.tile(jnp.eye(k), (count, 1, 1)),
        "neuron_keep": full(1.0),
        "neuron_update": full(1.0),
        "synapse_update": full(0.04),
        "backward_gate": full(0.5),
        "backward_input": full(0.1),
        "normalisation_exponent": full(1.0),
        "schedule_early": full(0.0),
        "schedule_power": full(-0.5),
        "initial_scale": full(1.0),
        "initial_own_scale": full(0.1),
        "readout": jnp.array([1.0, 0.0, 1.0, 0.0]),
        "loss_temperature": jnp.float32(1.0),
    }


def rate(call, per_call, seconds, rounds):
    """Episodes a second: the median of rounds."""
    jax.block_until_ready(call())
    rates = []
    for _ in range(rounds):
        begin, calls = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds / rounds:
            jax.block_until_ready(call())
            calls += 1
        rates.append(calls * per_call / (time.perf_counter() - begin))
    return statistics.median(rates)


def measure(layers, seconds, rounds):
    """Episodes with their gradient a second, by way of computing."""
    normal = lambda at, *shape: jax.random.normal(jax.random.fold_in(jax.random.key(2), at), shape)
    one_hot = lambda at, *shape: jax.nn.one_hot(
        jax.random.randint(jax.random.fold_in(jax.random.key(3), at), shape, 0, layers[-1]), layers[-1]
    )
    steps = (normal(0, TASKS, UPDATES, BATCH, layers[0]), one_hot(0, TASKS, UPDATES, BATCH))
    query = (normal(1, TASKS, QUERY, layers[0]), one_hot(1, TASKS, QUERY))
    weights = (jnp.ones(UPDATES).at[0].set(0.0) / UPDATES, 1 / UPDATES)
    keys, p = jax.random.split(jax.random.key(4), TASKS), start(layers)

    def episode(p, key, steps, query, with_checkpoints):
        draws = []
        for layer, (n, m) in enumerate(zip(layers, layers[1:])):
            shared, own = (jax.random.normal(jax.random.fold_in(key, 2 * layer + of), (count, n, m)) for of, count in ((0, 2), (1, 4)))
            draws.append((shared, own))
        return loss(IMAGES, p, [1.0] * (len(layers) - 1), draws, steps, query, weights, with_checkpoints)

    rates = {}
    first = lambda tree: jax.tree.map(lambda leaf: leaf[0], tree)
    for label, with_checkpoints in (("", False), (" checkpoint", True)):
        gradient = jax.value_and_grad(functools.partial(episode, with_checkpoints=with_checkpoints))
        one, many = jax.jit(gradient), jax.jit(jax.vmap(gradient, in_axes=(None, 0, 0, 0)))
        found, by = one(p, keys[0], first(steps), first(query))
        assert bool(jnp.isfinite(found)) and all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(by))
        rates["jit" + label] = rate(lambda: one(p, keys[0], first(steps), first(query)), 1, seconds, rounds)
        rates["vmap" + label] = rate(lambda: many(p, keys, steps, query), TASKS, seconds, rounds)
    return rates


def ours(path):
    """Gradients a second on two threads, by network."""
    with open(path, encoding="utf-8") as lines:
        entries = [json.loads(line) for line in lines]
    return {tuple(of["network"]): of["gradients_per_second"] for of in entries if of["threads"] == 2}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", metavar="FILE", help="what `gradient --json` printed")
    parser.add_argument("--network", choices=NETWORKS, action="append", help="one network alone; may be repeated")
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each way of computing")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    reference = ours(arguments.ours) if arguments.ours else {}
    check()
    print(f"jax {jax.__version__}, {jax.devices()}")
    ways = ("jit", "vmap", "jit checkpoint", "vmap checkpoint")
    print(f"{'network':16}" + "".join(f"{way:>17}" for way in ways) + f"{'hebbian':>10}{'ratio':>8}")
    for name in arguments.network or NETWORKS:
        layers = NETWORKS[name]
        rates = measure(layers, arguments.seconds, arguments.rounds)
        line = f"{'-'.join(map(str, layers)):16}" + "".join(f"{rates[way]:17.2f}" for way in ways)
        mine = reference.get(layers)
        if mine is not None:
            line += f"{mine:10.1f}{mine / max(rates.values()):8.2f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
