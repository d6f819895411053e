#!/usr/bin/env python3
"""The inner loop in JAX: the evaluations of `cargo bench -p hebbian-tests --bench inner_loop`, as a user would write them.

An evaluation draws the initial synapses, makes T updates and predicts a validation batch; one of the quickstart predicts its query
after 3, 5 and 10 updates. Each configuration is compiled by `jit` for one genome and by `jit(vmap)` for 16 genomes at once, the
quickstart's 64, which share their batches; XLA takes all cores.
The best of them all is the peer. `--ours FILE` names the benchmark's `--json` of the same machine and hour, for the ratio.
"""

import argparse
import json
import statistics
import time

import jax
import jax.numpy as jnp

CASES = {
    "small": ((2, 20, 1), 2, 512, 10),
    "mid": ((64, 64, 10), 2, 128, 20),
    "large": ((784, 256, 128, 10), 2, 128, 20),
    "large-k4": ((784, 256, 128, 10), 4, 128, 20),
    "quickstart": ((2, 20, 1), 4, 64, 10),
}
GENOMES = {"quickstart": 64}
# Examples of a query other than a batch's, and the updates after which it is asked other than the last.
QUERIES = {"quickstart": (256, (3, 5, 10))}


def relu_tanh(x):
    return jnp.maximum(0.0, jnp.tanh(x))


def genome(states, key):
    """The numbers of a rule near the start of a search, scalar gates."""
    names = ("nu", "mu", "pre", "post")
    keys = jax.random.split(key, len(names))
    rule = {name: 0.2 * jax.random.normal(k, (states, states)) for name, k in zip(names, keys, strict=True)}
    return rule | {"eta": jnp.float32(1.0), "keep": jnp.float32(0.95), "gain": jnp.float32(0.1), "f": jnp.float32(0.5)}


def initial_synapses(layers, states, key, with_first_backward):
    """Forward [state, source and bias, destination], backward [state, destination, source], uniform in -0.5 .. 0.5."""
    forward, backward = [], []
    for index, (n, m) in enumerate(zip(layers, layers[1:])):
        k1, k2 = jax.random.split(jax.random.fold_in(key, index))
        forward.append(jax.random.uniform(k1, (states, n + 1, m), minval=-0.5, maxval=0.5))
        if index > 0 or with_first_backward:
            backward.append(jax.random.uniform(k2, (states, m, n), minval=-0.5, maxval=0.5))
        else:
            backward.append(None)
    return forward, backward


def forward_pass(rule, forward, x):
    """States of all layers, [state, example, neuron]; those of the input above 0 are zero and left out."""
    states = rule["nu"].shape[0]
    layers = [x[None]]
    for index, weights in enumerate(forward):
        below = layers[-1]
        mixed = jnp.einsum("kbn,kl->lbn", below, rule["nu"][: below.shape[0]])
        bias = rule["nu"].sum(0)[:, None, None] * weights[:, -1:, :]
        arriving = jnp.matmul(mixed, weights[:, :-1, :]) + bias
        act = jnp.tanh if index == len(forward) - 1 else relu_tanh
        layers.append(act(rule["eta"] * arriving))
    assert layers[-1].shape[0] == states
    return layers


def update(rule, synapses, batch):
    """Forward pass, feedback, backward pass, Hebbian update with the mean over the batch."""
    forward, backward = synapses
    x, target = batch
    examples, states = x.shape[0], rule["nu"].shape[0]
    layers = forward_pass(rule, forward, x)
    last = layers[-1]
    layers[-1] = jnp.concatenate([last[:1], target[None], jnp.zeros_like(last[2:])])
    for index in range(len(layers) - 2, 0, -1):
        mixed = jnp.einsum("kbm,kl->lbm", layers[index + 1], rule["mu"])
        arriving = jnp.matmul(mixed, backward[index])
        layers[index] = relu_tanh(rule["f"] * layers[index] + rule["eta"] * arriving)

    def pre(layer):
        return jnp.einsum("kbn,kl->lbn", layer, rule["pre"][: layer.shape[0]])

    def post(layer):
        return jnp.einsum("lbn,ol->obn", layer, rule["post"][:, : layer.shape[0]])

    new_forward, new_backward = [], []
    gain = rule["gain"] / examples
    for index, weights in enumerate(forward):
        source, destination = pre(layers[index]), post(layers[index + 1])
        sums = jnp.matmul(source.transpose(0, 2, 1), destination)
        bias = rule["pre"].sum(0)[:, None] * destination.sum(1)
        delta = jnp.concatenate([sums, bias[:, None, :]], axis=1)
        new_forward.append(rule["keep"] * weights + gain * delta)
        if backward[index] is None:
            new_backward.append(None)
        else:
            sums = jnp.matmul(pre(layers[index + 1]).transpose(0, 2, 1), post(layers[index]))
            new_backward.append(rule["keep"] * backward[index] + gain * sums)
    assert all(w.shape[0] == states for w in new_forward)
    return new_forward, new_backward


def evaluation(layers, states, with_first_backward, points):
    """The function of a rule, a key of its synapses, the batches and the query, which is asked after so many updates."""

    def evaluate(rule, key, inputs, targets, query):
        synapses = initial_synapses(layers, states, key, with_first_backward)
        predictions, before = [], 0
        for point in points:
            batches = (inputs[before:point], targets[before:point])
            synapses, _ = jax.lax.scan(lambda s, b: (update(rule, s, b), None), synapses, batches)
            predictions.append(forward_pass(rule, synapses[0], query)[-1][0])
            before = point
        prediction = jnp.stack(predictions)
        # With the first backward block carried on, as the paper's own code has it, something must read it.
        rest = 0.0 * synapses[1][0].sum() if with_first_backward else 0.0
        return prediction + rest

    return evaluate


def rate(call, per_call, seconds, rounds):
    """Evaluations a second: the median of rounds."""
    jax.block_until_ready(call())
    rates = []
    for _ in range(rounds):
        start, calls = time.perf_counter(), 0
        while time.perf_counter() - start < seconds / rounds:
            jax.block_until_ready(call())
            calls += 1
        rates.append(calls * per_call / (time.perf_counter() - start))
    return statistics.median(rates)


def measure(name, seconds, rounds):
    """Evaluations a second by way of computing."""
    layers, states, batch, updates = CASES[name]
    key = jax.random.key(1)
    inputs = jax.random.uniform(key, (updates, batch, layers[0]), minval=-1.0)
    targets = jax.random.uniform(key, (updates, batch, layers[-1]), minval=-1.0)
    examples, points = QUERIES.get(name, (batch, (updates,)))
    query = jax.random.uniform(key, (examples, layers[0]), minval=-1.0)
    genomes = GENOMES.get(name, 16)
    keys = jax.random.split(key, genomes)
    rules = [genome(states, k) for k in keys]
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *rules)
    rates = {}
    for label, with_first_backward in (("", False), (" with B_0", True)):
        evaluate = evaluation(layers, states, with_first_backward, points)
        one = jax.jit(evaluate)
        many = jax.jit(jax.vmap(evaluate, in_axes=(0, 0, None, None, None)))
        assert bool(jnp.isfinite(one(rules[0], keys[0], inputs, targets, query)).all())
        rates["jit" + label] = rate(lambda: one(rules[0], keys[0], inputs, targets, query), 1, seconds, rounds)
        rates["vmap" + label] = rate(lambda: many(stacked, keys, inputs, targets, query), genomes, seconds, rounds)
    return rates


def ours(path):
    """Evaluations a second by case and threads."""
    found = {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            entry = json.loads(line)
            if "evaluations_per_second" in entry:
                found[entry["case"], entry["threads"]] = entry["evaluations_per_second"]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours", metavar="FILE", help="what `inner_loop --json` printed")
    parser.add_argument("--case", choices=CASES, action="append", help="one configuration alone; may be repeated")
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each way of computing")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    reference = ours(arguments.ours) if arguments.ours else {}
    print(f"jax {jax.__version__}, {jax.devices()}")
    ways = ("jit", "vmap", "jit with B_0", "vmap with B_0")
    print(f"{'case':9}" + "".join(f"{way:>15}" for way in ways) + f"{'hebbian':>10}{'ratio':>8}{'with B_0':>10}")
    for name in arguments.case or CASES:
        rates = measure(name, arguments.seconds, arguments.rounds)
        line = f"{name:9}" + "".join(f"{rates[way]:15.2f}" for way in ways)
        mine = reference.get((name, 2))
        if mine is not None:
            lean = max(rates["jit"], rates["vmap"])
            full = max(rates["jit with B_0"], rates["vmap with B_0"])
            line += f"{mine:10.1f}{mine / lean:8.2f}{mine / full:10.2f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
