"""A worker of the Python package with the objective of `hebbian conformance`.

    PYTHONPATH=python hebbian conformance --exec 'exec python tests/conformance/worker.py {address}'
"""

import sys
import time

import hebbian


@hebbian.objective(
    "conformance",
    scores=("level", "first"),
    x=hebbian.real(0.0, deviation=1.0, length=2000),
    level=hebbian.integer(0, 9),
    milliseconds=hebbian.integer(0, 600_000),
    ending=hebbian.integer(0, 4),
    word=hebbian.fixed("hebbian"),
)
def conformance(x, level, milliseconds, ending, word, seed):
    time.sleep(milliseconds / 1000)
    if ending == 1:
        raise hebbian.Infeasible(0.25)
    if ending == 2:
        raise hebbian.Failed("as it was told")
    if ending == 3:
        raise RuntimeError("x" * 5000)
    value = x[0] + 2 * x[-1] + 10 * level + seed % 1000 + len(word)
    return float("nan") if ending == 4 else value, {"level": level, "first": x[0]}


if __name__ == "__main__":
    hebbian.work(conformance, coordinator=sys.argv[1], workers=2)
