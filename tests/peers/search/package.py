"""COCO's bbob through the Python package (`hebbian.Study`) and through `hebbian ask-tell`: the same candidates, bit for bit.

The package searches in units of each parameter's deviation from its initial value, so ask-tell searches around 0 with step size 1, and
its points are scaled here. Each function is searched until its search ends or the budget is spent; criteria that compare fitnesses end
ask-tell alone (docs/SEARCH.md), and what the package tries after that is not compared. Prints a line for each dimension; exits with 1 if
a candidate differs.

    PYTHONPATH=python HEBBIAN_BINARY=target/release/hebbian python tests/peers/search/package.py
"""

import argparse
import sys
import zlib

import numpy as np

import hebbian
import search
from hebbian.local import binary

DEVIATION = 2.0
SIZE = 8
# What ends ask-tell, and not a run.
OF_FITNESSES = ("tolfun", "tolfunhist", "stagnation", "flat")
# When its search has ended, a study measures its mean and its best candidate once more.
MEASURED = 2


def by_ask_tell(objective, mean, seed, generations):
    """All candidates, and what ended the search before the budget."""
    found = []

    def value(point):
        x = [start + DEVIATION * number for start, number in zip(mean, point)]
        if len(found) == generations * SIZE:
            raise search.Done
        found.append(x)
        return objective(x)

    end = search.hebbian(binary(), value, [0.0] * len(mean), 1.0, seed, ["--noise", "none", "--population-size", str(SIZE)])
    return found, end["stop"] if end else None


def by_package(objective, mean, seed, generations):
    """All candidates of a study, by the places of its trials."""
    names = [f"x{index}" for index in range(len(mean))]
    parameters = {name: hebbian.real(start, deviation=DEVIATION) for name, start in zip(names, mean)}
    found = {}
    study = hebbian.Study(
        direction="minimise", seed=seed, population_size=SIZE, generations=generations, noisy=False, parallel=SIZE, parameters=parameters
    )
    try:
        for trial in study:
            x = [trial[name] for name in names]
            found[trial.generation * SIZE + trial.candidate] = x
            study.tell(trial, objective(x))
    finally:
        study.close()
    return [found[place] for place in sorted(found)][:-MEASURED]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimensions", type=search.numbers, default=[2, 3, 5, 10, 20], metavar="D,..")
    parser.add_argument("--functions", type=search.numbers, default=list(range(1, 25)), metavar="F,..")
    parser.add_argument("--budget", type=int, default=100, help="evaluations per dimension")
    arguments = parser.parse_args()
    import cocoex

    differ = 0
    for dimension in arguments.dimensions:
        equal = candidates = 0
        for function in arguments.functions:
            suite = cocoex.Suite("bbob", "instances:1", f"dimensions:{dimension} function_indices:{function}")
            problem = suite[0]
            mean = np.random.default_rng([dimension, function]).uniform(-4, 4, dimension).tolist()
            seed = zlib.crc32(f"{dimension} {function}".encode())
            of = (lambda x: float(problem(x)), mean, seed, max(arguments.budget * dimension // SIZE, 1))
            ours, (theirs, end) = by_package(*of), by_ask_tell(*of)
            same = (ours[: len(theirs)] if end in OF_FITNESSES else ours) == theirs
            equal += same
            candidates += len(theirs)
            if not same:
                differ += 1
                print(f"D {dimension}, f{function}: {len(ours)} and {len(theirs)} candidates differ", file=sys.stderr)
        print(f"D {dimension}: {equal} of {len(arguments.functions)} functions have the same bits in {candidates} candidates", flush=True)
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
