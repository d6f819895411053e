"""The shipped rules compute in NumPy what the program computes: the file is checked by the program's own tests, too."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from hebbian import Rule, RuleError

ROOT = Path(__file__).parents[2]
CASES = json.loads((ROOT / "tests" / "fixtures" / "python.json").read_text())
BATCH = 8


def numbers(stream, shape, scale=1.0):
    place = np.arange(np.prod(shape))
    return (scale * ((place * 37 + stream * 11 + place * place * 5) % 65 / 32 - 1)).reshape(shape)


def genome(name):
    return ROOT / "cli" / "rules" / name / "genome.json"


def learner_of(case, rule, dtype):
    states, sizes = rule.options.states, case["layers"]
    forward = [
        np.stack([numbers(10 * layer + state, (below + 1, above), 0.5) for state in range(states)])
        for layer, (below, above) in enumerate(pairwise(sizes))
    ]
    backward = [
        np.stack([numbers(1000 + 10 * layer + state, (above, below + 1), 0.5) for state in range(states)])
        for layer, (below, above) in enumerate(pairwise(sizes))
    ]
    return rule.learner(sizes, synapses=(forward, None if rule.options.symmetric_synapses else backward), dtype=dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["rule"])
def test_predictions_are_those_of_the_program(case, dtype):
    rule = Rule.load(genome(case["rule"]))
    learner, sizes = learner_of(case, rule, dtype), case["layers"]
    query = numbers(100, (BATCH, sizes[0]))
    for update, expected in enumerate(case["predictions"]):
        found = learner(query)
        assert found.dtype == dtype
        np.testing.assert_allclose(found.ravel(), expected, rtol=1e-5, atol=1e-5, err_msg=f"after {update} updates")
        classes = (np.arange(BATCH) + update) % max(sizes[-1], 2)
        learner.update(numbers(100 + update, (BATCH, sizes[0])), classes)


def test_a_rule_learns_what_it_has_never_seen():
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((4, 6)) * 2
    labels = rng.integers(4, size=600)
    x = centres[labels] + rng.standard_normal((600, 6))
    x = (x - x.mean(0)) / x.std(0)
    learner = Rule.load(genome("images")).learner([6, 32, 4], seed=3)
    before = (learner.predict(x[400:]) == labels[400:]).mean()
    for _ in range(20):
        batch = rng.choice(400, 64)
        learner.update(x[batch], labels[batch])
    after = (learner.predict(x[400:]) == labels[400:]).mean()
    assert before < 0.5 and after > 0.8, (before, after)


def test_one_output_stands_for_two_classes():
    learner = Rule.load(genome("images")).learner([3, 5, 1], seed=1)
    x = np.random.default_rng(2).standard_normal((64, 3))
    for _ in range(10):
        learner.update(x, x[:, 0] > 0)
    assert learner(x).shape == (64, 1)
    assert (learner.predict(x) == (x[:, 0] > 0)).mean() > 0.9


def test_what_is_wrong_is_named(tmp_path):
    rule = Rule.load(genome("images"))
    content = json.loads(genome("images").read_text())

    def refused(expected, change):
        changed = json.loads(json.dumps(content))
        change(changed)
        path = tmp_path / "genome.json"
        path.write_text(json.dumps(changed))
        with pytest.raises(RuleError, match=expected):
            Rule.load(path)

    refused("genome.json: format: must be", lambda genome: genome.update(format="other"))
    refused("rule.family: 'abcd' is not implemented in NumPy", lambda genome: genome["rule"].update(family="abcd"))
    refused("rule.surprise: is not known", lambda genome: genome["rule"].update(surprise=1))
    refused("rule.feedback: 'other' is not known", lambda genome: genome["rule"].update(feedback="other"))
    refused("values: must be 245 numbers", lambda genome: genome["values"].pop())
    refused("provenance: is missing", lambda genome: genome.pop("provenance"))
    (tmp_path / "text.json").write_text("no JSON")
    with pytest.raises(RuleError, match="is not JSON"):
        Rule.load(tmp_path / "text.json")

    for layers, expected in (([6], "layers: must be two or more"), ([6, 5, 5, 3], "a genome for each of 2 layers of synapses, not for 3")):
        with pytest.raises(RuleError, match=expected):
            rule.learner(layers)
    with pytest.raises(RuleError, match="synapses: the forward ones of layer 0 must have the shape"):
        rule.learner([6, 5, 3], synapses=([np.zeros((4, 6, 5)), np.zeros((4, 6, 3))], None))
    learner = rule.learner([6, 5, 3], seed=1)
    x = np.zeros((8, 6))
    for arguments, expected in (
        ((x[:, :5], np.zeros(8, int)), r"x: must have the shape \[examples, 6\], not \[8, 5\]"),
        ((x, np.zeros(7, int)), "y: must have 8 classes"),
        ((x, np.zeros(8)), "y: must have 8 classes as whole numbers"),
        ((x, np.full(8, 3)), "y: classes must be from 0 to 2, not 3 to 3"),
    ):
        with pytest.raises(RuleError, match=expected):
            learner.update(*arguments)


@pytest.mark.parametrize(
    "key, value, error",
    [
        ("rule", None, "rule: must be an object, not None"),
        ("layout", None, "layout: must be an object, not None"),
        ("layout", {}, "layout: 'segments' is missing"),
        ("layout", {"segments": 3}, "layout: cannot be read: "),
        ("layout", {"segments": [3]}, "layout: cannot be read: "),
        ("network", [], r"network: must be an object, not \[\]"),
        ("provenance", None, "provenance: must be an object, not None"),
        ("values", {}, "values: must be a list of numbers, not {}"),
        ("values", ["a"], r"values\[0\]: must be a number, not 'a'"),
        ("values", [0.5, None], r"values\[1\]: must be a number, not None"),
    ],
)
def test_a_genome_file_that_is_wrong_is_told_by_its_field(tmp_path, key, value, error):
    path = tmp_path / "genome.json"
    path.write_text(json.dumps({**json.loads(genome("images").read_text()), key: value}))
    with pytest.raises(RuleError, match=f"{path}: {error}"):
        Rule.load(path)


def test_layers_and_examples_that_are_no_numbers_are_told():
    rule = Rule.load(genome("images"))
    for layers in (["a", 3], [6.5, 3], [6, None], 3, [6, 0, 3]):
        with pytest.raises(RuleError, match="layers: must be two or more numbers of neurons from 1 on"):
            rule.learner(layers)
    learner = rule.learner(np.array([6, 5, 3]), seed=1)
    x, before = np.ones((4, 6)), learner(np.ones((4, 6)))
    for inputs, targets, expected in (
        (x * np.nan, [0, 1, 2, 0], "x: must be finite numbers"),
        (np.full((4, 6), np.inf), [0, 1, 2, 0], "x: must be finite numbers"),
        ([["a"] * 6] * 4, [0, 1, 2, 0], "x: must be numbers"),
        (x, np.full((4, 3), np.nan), "y: must be finite numbers"),
        (x, [["a"] * 3] * 4, "y: must be numbers"),
    ):
        with pytest.raises(RuleError, match=expected):
            learner.update(inputs, targets)
    with pytest.raises(RuleError, match="x: must be finite numbers"):
        learner.predict(x * np.nan)
    assert (learner(x) == before).all()


def test_draws_are_repeated_by_the_seed():
    for name, layers in (("images", [6, 5, 3]), ("quickstart", [2, 7, 1])):
        rule = Rule.load(genome(name))
        x = np.ones((2, layers[0]))
        first, again, other = (rule.learner(layers, seed=seed)(x) for seed in (1, 1, 2))
        assert (first == again).all() and (first != other).any()
