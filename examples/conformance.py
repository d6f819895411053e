"""The objective that `hebbian conformance` tries workers with (docs/WORKERS.md), as a program for `hebbian worker --exec`.

    hebbian conformance --exec "hebbian worker --coordinator {address} --exec 'python3 examples/conformance.py' --slots 2"
"""

import json
import sys
import time


def outcome(parameters, seed):
    x, level = parameters["x"], parameters["level"]
    time.sleep(parameters["milliseconds"] / 1000)
    ending = parameters["ending"]
    if ending == 1:
        return {"infeasible": 0.25}
    if ending == 2:
        return {"failed": "as it was told"}
    if ending == 3:
        raise RuntimeError("x" * 5000)
    value = x[0] + 2 * x[-1] + 10 * level + seed % 1000 + len(parameters["word"])
    return {"value": float("nan") if ending == 4 else value, "scores": {"level": level, "first": x[0]}}


def main():
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = outcome(request["parameters"], request["seed"])
        except RuntimeError as error:
            answer = {"error": str(error)}
        print(json.dumps({"id": request["id"], **answer}), flush=True)


if __name__ == "__main__":
    main()
