#!/usr/bin/env python3
"""Episodes a second of the families from the literature, beside the same in JAX as a user would write them.

    python tests/peers/families.py --hebbian target/release/hebbian

An episode of `update-networks` shows 8 pairs of 16 bits and asks for them; one of `warped-descent` makes 20 updates of 1-20-20-1 through
residual warps of rank 4 and is asked after 5, 10 and 20; one of `sample-weights` makes 100 updates of 64-64-32-10 on weighted batches of 64.
In JAX all candidates and tasks of a generation are one call, compiled by `jit(vmap(vmap))`; XLA takes all cores, hebbian as many threads. The
program's rate is that of the generations of one run, without its first. Say what else the machine did: both are measured in one run, one after
the other, but not at the same moment.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import tempfile
import time

import jax
import jax.numpy as jnp

# Candidates, tasks, and the spec of the run.
CASES = {
    "update-networks": (32, 8, """
        rule = { family = "update-networks" }
        network = { hidden = [] }
        tasks = { families = ["remember-bits"], per_generation = 8, batch_size = 1, query_size = 8 }
        evaluation = { objective = "squared-error", measure = [{ update = "last", weight = 1.0 }], unroll = [{ generations = 1, updates = 8 }] }
    """),
    "warped-descent": (32, 16, """
        rule = { family = "warped-descent", rank = 4 }
        network = { hidden = [20, 20] }
        tasks = { families = ["sinusoid"], per_generation = 16, batch_size = 10, support = "fixed", query_size = 50 }
        [evaluation]
        objective = "squared-error"
        measure = [{ update = 5, weight = 1.0 }, { update = 10, weight = 1.0 }, { update = "last", weight = 1.0 }]
        unroll = [{ generations = 1, updates = 20 }]
    """),
    "sample-weights": (16, 6, """
        rule = { family = "sample-weights", horizon = 100 }
        network = { hidden = [64, 32] }
        [tasks]
        families = ["digits"]
        per_generation = 6
        batch_size = 64
        query_size = 300
        label_noise = { rates = [0.4] }
        images = { inputs = ["original"] }
        [evaluation]
        objective = "logistic"
        measure = [{ update = "last", weight = 1.0 }]
        unroll = [{ generations = 1, updates = 100 }]
    """),
}
GENERATIONS = {"update-networks": 400, "warped-descent": 100, "sample-weights": 10}


def update_networks(genome, pairs):
    """Minus the mean squared error of 8 recalled pairs; B, S, E, W = 3, 2, 2, 4, product, tanh."""
    cues, targets = pairs
    n = cues.shape[1]
    sizes = (("embedding", (2, 2)), ("axon", (2, 6)), ("candidate", (3, 10)), ("gate", (3, 10)), ("keep", (3,)),
             ("pre", (4, 6)), ("post", (4, 6)), ("own", (4, 2)), ("out", (2, 4)), ("held", (2,)), ("change", (2,)))
    p, start = {}, 0
    for name, shape in sizes:
        count = 1
        for side in shape:
            count *= side
        p[name], start = genome[start:start + count].reshape(shape), start + count
    keep, held, change = jax.nn.sigmoid(p["keep"]), jax.nn.sigmoid(p["held"] + 1), 0.1 * jnp.exp(p["change"])

    def ends(body, side):
        return jnp.concatenate([body, jnp.broadcast_to(p["embedding"][side], (n, 2)), jnp.ones((n, 1))], axis=1)

    def body_step(body, up, value, flag, side):
        type_of = jnp.broadcast_to(p["embedding"][side], (n, 2))
        v = jnp.concatenate([body, up, value[:, None], jnp.full((n, 1), flag), type_of, jnp.ones((n, 1))], axis=1)
        return keep * body + jax.nn.sigmoid(v @ p["gate"].T) * jnp.tanh(v @ p["candidate"].T)

    def tick(lower, upper, synapses, cue, target, flag):
        lower = body_step(lower, jnp.zeros((n, 2)), cue, 1.0, 0)
        up = jnp.einsum("ijs,is->js", synapses, ends(lower, 0) @ p["axon"].T) / n
        return lower, body_step(upper, up, target, flag, 1)

    def present(state, pair):
        lower, upper, synapses = state
        lower, upper = tick(lower, upper, synapses, pair[0], pair[1], 1.0)
        before, after = ends(lower, 0) @ p["pre"].T, ends(upper, 1) @ p["post"].T
        z = jnp.tanh(before[:, None] * after[None] + synapses @ p["own"].T)
        return (lower, upper, held * synapses + change * (z @ p["out"].T)), None

    zeros = jnp.zeros((n, 3))
    (_, _, synapses), _ = jax.lax.scan(present, (zeros, zeros, jnp.zeros((n, n, 2))), (cues, targets))
    recall = jax.vmap(lambda cue: tick(zeros, zeros, synapses, cue, jnp.zeros(n), 0.0)[1][:, 0])
    return -jnp.mean((recall(cues) - targets) ** 2)


def warped_descent(genome, task):
    """Minus the mean squared error after 5, 10 and 20 updates of 1-20-20-1 through two residual warps."""
    (x, y), (query, answers), theta = task
    d, r = 20, 4
    warps, rate = genome[:2 * (2 * r * d + r + d)].reshape(2, -1), 0.1 * jnp.exp(genome[-1])
    j, k = jnp.arange(d), jnp.arange(r)[:, None]
    offset = jnp.sqrt(2 / d) * jnp.cos(jnp.pi * (k + 1) * (2 * j + 1) / (2 * d))

    def warp(h, w):
        inner = jnp.tanh(h @ (offset + w[:r * d].reshape(r, d)).T + w[r * d:r * d + r])
        return h + inner @ w[r * d + r:2 * r * d + r].reshape(r, d) + w[2 * r * d + r:]

    def predict(theta, x):
        h = x
        for layer in range(2):
            h = warp(jnp.tanh(h @ theta[layer][0] + theta[layer][1]), warps[layer])
        return h @ theta[2][0] + theta[2][1]

    def loss(theta):
        return 0.5 * jnp.mean((predict(theta, x) - y) ** 2)

    def step(theta, _):
        theta = jax.tree.map(lambda w, g: w - rate * g, theta, jax.grad(loss)(theta))
        return theta, None

    total, before = 0.0, 0
    for point in (5, 10, 20):
        theta, _ = jax.lax.scan(step, theta, None, length=point - before)
        total, before = total + jnp.mean((predict(theta, query) - answers) ** 2), point
    return -total / 3


def sample_weights(genome, task):
    """Minus the loss of a query after 100 weighted updates of 64-64-32-10."""
    (images, labels), batches, (query, answers), theta = task
    inputs, bias, output, offset = genome[:16].reshape(8, 2), genome[16:24], genome[24:32], genome[32]

    def losses(theta, x, label):
        h = x
        for weights, biases in theta[:-1]:
            h = jnp.tanh(h @ weights + biases)
        return -jax.nn.log_softmax(h @ theta[-1][0] + theta[-1][1])[jnp.arange(len(label)), label]

    def step(theta, at):
        update, batch = at
        x, label = images[batch], labels[batch]
        each = losses(theta, x, label)
        phi = jnp.stack([each, jnp.full_like(each, update / 100)], axis=1)
        v = jax.nn.sigmoid(jax.nn.relu(phi @ inputs.T + bias) @ output + offset)
        v = jax.lax.stop_gradient(v / v.sum())
        slopes = jax.grad(lambda theta: (v * losses(theta, x, label)).sum())(theta)
        return jax.tree.map(lambda w, g: w - 0.2 * g, theta, slopes), None

    theta, _ = jax.lax.scan(step, theta, (jnp.arange(100.0), batches))
    return -losses(theta, query, answers).mean()


def drawn(name, key, tasks):
    """Genomes' dimension, the episode and its tasks."""

    def perceptron(key, layers):
        keys = jax.random.split(key, len(layers))
        return [
            (jax.random.uniform(k, (n, m), minval=-1) * (6 / (n + m)) ** 0.5, jnp.zeros(m))
            for k, n, m in zip(keys, layers, layers[1:])
        ]

    keys = jax.random.split(key, 6)
    if name == "update-networks":
        bits = jax.random.bernoulli(keys[0], shape=(2, tasks, 8, 16)) * 2.0 - 1
        return 147, update_networks, (bits[0], bits[1])
    if name == "warped-descent":
        waves = jax.random.uniform(keys[0], (tasks, 1, 1), minval=0.1), jax.random.uniform(keys[1], (tasks, 1, 1)) * 3.14
        x, query = (jax.random.uniform(k, (tasks, n, 1), minval=-1) for k, n in ((keys[2], 10), (keys[3], 50)))
        of = lambda x: waves[0] * jnp.sin(5 * x + waves[1])
        theta = jax.tree.map(lambda w: jnp.broadcast_to(w, (tasks, *w.shape)), perceptron(keys[4], (1, 20, 20, 1)))
        return 371, warped_descent, ((x, of(x)), (query, of(query)), theta)
    images = jax.random.normal(keys[0], (tasks, 600, 64))
    labels = jax.random.randint(keys[1], (tasks, 600), 0, 10)
    batches = jax.random.randint(keys[2], (tasks, 100, 64), 0, 600)
    theta = jax.vmap(lambda k: perceptron(k, (64, 64, 32, 10)))(jax.random.split(keys[3], tasks))
    query = jax.random.normal(keys[4], (tasks, 300, 64)), jax.random.randint(keys[5], (tasks, 300), 0, 10)
    return 33, sample_weights, ((images, labels), batches, query, theta)


def in_jax(name, candidates, tasks, rounds):
    """Episodes a second: the median of rounds."""
    key = jax.random.key(1)
    dimension, episode, drawn_tasks = drawn(name, key, tasks)
    genomes = 0.1 * jax.random.normal(key, (candidates, dimension))
    call = jax.jit(jax.vmap(jax.vmap(episode, in_axes=(None, 0)), in_axes=(0, None)))
    assert bool(jnp.isfinite(jax.block_until_ready(call(genomes, drawn_tasks))).all()), name
    rates = []
    for _ in range(rounds):
        start, calls = time.perf_counter(), 0
        while time.perf_counter() - start < 1.0:
            jax.block_until_ready(call(genomes, drawn_tasks))
            calls += 1
        rates.append(calls * candidates * tasks / (time.perf_counter() - start))
    return statistics.median(rates)


def in_hebbian(program, name, candidates, text, threads):
    """Episodes a second of a run's generations but the first."""
    strategy = f'name = "peer"\nstrategy = {{ kind = "openai-es", population_size = {candidates} }}\n'
    stop = f"stop = {{ generations = {GENERATIONS[name]} }}\n"
    lines = "\n".join(line.strip() for line in text.strip().splitlines())
    with tempfile.TemporaryDirectory() as directory:
        spec, out = pathlib.Path(directory) / "spec.toml", pathlib.Path(directory) / "out"
        spec.write_text(strategy + stop + lines + "\n", encoding="utf-8")
        command = [program, "run", str(spec), "--workers", str(threads), "--out", str(out)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        history = json.loads((out / "report.json").read_text(encoding="utf-8"))["history"]
    # Both count from the run's start.
    first, last = history[0], history[-1]
    return (last["episodes"] - first["episodes"]) / (last["elapsed_s"] - first["elapsed_s"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hebbian", required=True, metavar="PROGRAM", help="a release build")
    parser.add_argument("--rounds", type=int, default=5, help="seconds in JAX")
    parser.add_argument("--case", choices=CASES, action="append", help="one family alone; may be repeated")
    arguments = parser.parse_args()
    threads = os.cpu_count() or 1
    print(f"jax {jax.__version__}, {jax.devices()}, {threads} threads, load {os.getloadavg()[0]:.1f}")
    print(f"{'family':18}{'JAX':>10}{'hebbian':>10}{'ratio':>8}   episodes a second")
    for name in arguments.case or CASES:
        candidates, tasks, text = CASES[name]
        ours = in_hebbian(arguments.hebbian, name, candidates, text, threads)
        theirs = in_jax(name, candidates, tasks, arguments.rounds)
        print(f"{name:18}{theirs:10.0f}{ours:10.0f}{ours / theirs:8.1f}   load {os.getloadavg()[0]:.1f}", flush=True)


if __name__ == "__main__":
    main()
