"""An objective as a program on a pipe."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numpy")

HERE = Path(__file__).parent


def request(number, x, **more):
    return {"id": number, "problem": "troubled", "seed": 7, "attempt": 1, "parameters": {"x": x, "kind": "plain"}, **more}


def test_requests_are_answered_one_by_one_and_in_batches():
    batch = [request(2, 1.0), request(3, 3.0), request(4, 4.0), request(5, 0.5), request(7, 1.0), request(8, 2.0)]
    lines = [request(1, 20.0), batch, {"id": 6, "seed": 1, "parameters": {}}]
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); import objectives; objectives.troubled.serve()"
    done = subprocess.run(
        [sys.executable, "-c", code], input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True, text=True, check=True
    )
    first, *answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert first == {"batch": 64}
    assert answers[0] == {"id": 1, "value": 27.0, "scores": {"twice": 40.0}}
    failed, infeasible, error, value, again, nan = answers[1]
    assert failed == {"id": 2, "failed": "not this one"} and infeasible == {"id": 3, "infeasible": 0.25}
    assert error["id"] == 4 and error["error"].startswith("ZeroDivisionError: by nothing") and value["value"] == 7.5
    assert answers[2] == {"id": 6, "error": "parameters: 'x' is missing"}
    assert "ZeroDivisionError" in done.stderr
    # Why something failed is told once by each process.
    assert again == {"id": 7, "failed": "not this one"} and nan["failed"] == "the value is nan"
    told = [line for line in done.stderr.splitlines() if line.startswith("the objective failed")]
    assert told == ["the objective failed: not this one", "the objective failed: the value is nan"]


def test_a_child_that_comes_out_of_the_objective_answers_nothing():
    lines = [
        {"id": number, "seed": 1, "parameters": {"x": float(number), "how": how}} for number, how in enumerate(("", "raises", "exits"))
    ]
    code = f"import sys; sys.path.insert(0, {str(HERE)!r}); import objectives; objectives.forks.serve()"
    done = subprocess.run(
        [sys.executable, "-c", code], input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True, text=True, check=True
    )
    _, *answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(of["id"], of["value"]) for of in answers] == [(0, 0.0), (1, 2.0), (2, 9.0)]
