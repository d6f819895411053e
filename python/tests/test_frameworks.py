"""PyTorch and JAX compute what NumPy computes, each where it is installed."""

import json
from itertools import pairwise

import numpy as np
import pytest
from test_golden import FIXTURES, options_of, parameters_of, states_first, tensor
from test_product import BATCH, CASES, genome, numbers

from hebbian import Rule, RuleError
from hebbian._arithmetic import Arithmetic
from hebbian._network import Network


class Torch:
    """A learner of PyTorch as the tests use all of them."""

    def __init__(self, rule, layers, **options):
        torch = pytest.importorskip("torch")
        self.torch, self.learner = torch, rule.torch(layers, dtype=torch.float64, **options)

    def update(self, x, y):
        self.learner.update(self.torch.tensor(x), self.torch.tensor(y))

    def __call__(self, x):
        return self.learner(self.torch.tensor(x)).numpy()


class Jax:
    """A learner of JAX as the tests use all of them."""

    def __init__(self, rule, layers, **options):
        jax = pytest.importorskip("jax")
        jax.config.update("jax_enable_x64", True)
        learner = rule.jax(layers, dtype=np.float64, **options)
        self.state = learner.initial
        self._update, self._answer = jax.jit(learner.update), jax.jit(learner.answer)

    def update(self, x, y):
        self.state = self._update(self.state, x, y)

    def __call__(self, x):
        return np.asarray(self._answer(self.state, x))


@pytest.mark.parametrize("framework", [Torch, Jax])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["rule"])
def test_predictions_are_those_of_the_program(case, framework):
    rule, sizes = Rule.load(genome(case["rule"])), case["layers"]
    states = rule.options.states
    forward = [
        np.stack([numbers(10 * layer + state, (below + 1, above), 0.5) for state in range(states)])
        for layer, (below, above) in enumerate(pairwise(sizes))
    ]
    backward = [
        np.stack([numbers(1000 + 10 * layer + state, (above, below + 1), 0.5) for state in range(states)])
        for layer, (below, above) in enumerate(pairwise(sizes))
    ]
    synapses = forward, None if rule.options.symmetric_synapses else backward
    learner = framework(rule, sizes, synapses=synapses)
    numpy = rule.learner(sizes, synapses=synapses)
    query = numbers(100, (BATCH, sizes[0]))
    for update, expected in enumerate(case["predictions"]):
        found = learner(query)
        np.testing.assert_allclose(found.ravel(), expected, rtol=1e-5, atol=1e-5, err_msg=f"after {update} updates")
        np.testing.assert_allclose(found, numpy(query), rtol=1e-10, atol=1e-10, err_msg=f"after {update} updates")
        x, classes = numbers(100 + update, (BATCH, sizes[0])), (np.arange(BATCH) + update) % max(sizes[-1], 2)
        learner.update(x, classes)
        numpy.update(x, classes)


@pytest.mark.parametrize("layers", [[3, 5, 1], [3, 5, 4]])
@pytest.mark.parametrize("framework", [Torch, Jax])
def test_one_output_and_targets_as_values(framework, layers):
    rule = Rule.load(genome("images"))
    learner, numpy = framework(rule, layers, seed=1), rule.learner(layers, seed=1)
    x = np.random.default_rng(2).standard_normal((16, 3))
    for y in (np.arange(16) % max(layers[-1], 2), np.tanh(x[:, :1] + np.arange(layers[-1]))):
        learner.update(x, y)
        numpy.update(x, y)
    np.testing.assert_allclose(learner(x), numpy(x), rtol=1e-10, atol=1e-10)
    with pytest.raises(RuleError, match=r"x: must have the shape \[examples, 3\], not \[16, 2\]"):
        learner(x[:, :2])
    with pytest.raises(RuleError, match="y: must have 16 classes as whole numbers"):
        learner.update(x, np.zeros(16))


def backend(name):
    if name == "torch":
        torch = pytest.importorskip("torch")
        from hebbian.torch import _Torch

        return _Torch(), torch.tensor, lambda function: function
    jax = pytest.importorskip("jax")
    jax.config.update("jax_enable_x64", True)
    from hebbian.jax import _Jax

    return _Jax(jax.numpy.dtype(np.float64)), jax.numpy.asarray, jax.jit


GOLDEN = sorted((FIXTURES / "golden").glob("*.json"))
# JAX compiles each for a second.
PAIRS = [("torch", path) for path in GOLDEN] + [("jax", path) for path in GOLDEN[::4]]


@pytest.mark.parametrize(("name", "path"), PAIRS, ids=lambda of: getattr(of, "stem", of))
def test_every_option_is_the_same(name, path):
    vector = json.loads(path.read_text())
    states, sizes = vector["num_states"], vector["layer_sizes"]
    options = options_of(vector["spec"], states, vector["updatable"], True)
    parameters = parameters_of(vector["genome"], options, states, len(sizes) - 1)
    network = Network(options, parameters, sizes, np.dtype(np.float64))
    initial = vector["initial_synapses"]
    network.set_synapses(*([states_first(of) for of in initial[way]] for way in ("forward", "backward")))
    arrays, converted, compiled = backend(name)
    other = Arithmetic(options, {name: converted(values) for name, values in network.parameters.items()}, sizes, arrays)
    state = network.state._replace(
        forward=[converted(x) for x in network.state.forward],
        backward=[converted(x) for x in network.state.backward],
        within=[tuple(converted(x) for x in pair) for pair in network.state.within],
    )
    update = compiled(other.update)
    for step in vector["steps"][:3]:
        x, target = tensor(step["input"]), tensor(step["target"])
        network.update(x, target)
        state = update(state, converted(x), converted(target))
        for found, expected in zip((*state.forward, *state.backward), (*network.state.forward, *network.state.backward)):
            np.testing.assert_allclose(np.asarray(found), expected, rtol=1e-10, atol=1e-10)


def test_a_module_keeps_what_it_has_learned():
    torch = pytest.importorskip("torch")
    rule = Rule.load(genome("images"))
    learner, fresh = rule.torch([3, 5, 2], seed=1), rule.torch([3, 5, 2], seed=2)
    x = torch.randn(16, 3)
    learner.update(x, torch.arange(16) % 2)
    fresh.load_state_dict(learner.state_dict())
    assert learner(x).dtype == torch.float32
    assert (fresh(x) == learner(x)).all() and (fresh.predict(x) == learner.predict(x)).all()


def test_a_module_learns_from_finite_numbers_alone():
    torch = pytest.importorskip("torch")
    learner = Rule.load(genome("images")).torch([3, 5, 2], seed=1)
    x = torch.ones(4, 3)
    before = learner(x)
    with pytest.raises(RuleError, match="x: must be finite numbers"):
        learner.update(x * float("nan"), torch.arange(4) % 2)
    with pytest.raises(RuleError, match="y: must be finite numbers"):
        learner.update(x, torch.full((4, 2), float("inf")))
    assert (learner(x) == before).all()


def test_a_function_is_scanned_and_mapped():
    jax = pytest.importorskip("jax")
    learner = Rule.load(genome("images")).jax([3, 5, 2], seed=1)
    x, y = jax.random.normal(jax.random.PRNGKey(1), (4, 8, 3)), jax.numpy.arange(32).reshape(4, 8) % 2
    scanned, _ = jax.jit(lambda state: jax.lax.scan(lambda state, of: (learner.update(state, *of), None), state, (x, y)))(learner.initial)
    state = learner.initial
    for of in zip(x, y):
        state = learner.update(state, *of)
    np.testing.assert_allclose(learner.answer(scanned, x[0]), learner.answer(state, x[0]), rtol=1e-4, atol=1e-4)
    mapped = jax.vmap(learner.update, in_axes=(None, 0, 0))(learner.initial, x, y)
    assert mapped.forward[0].shape == (4, *learner.initial.forward[0].shape)
