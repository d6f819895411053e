"""An objective as a program that `hebbian worker --exec` and `hebbian run --exec` start: JSON lines on its standard streams."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, TextIO

from ._evaluate import FAILED, INFEASIBLE, VALUE, Evaluator
from ._objective import Objective

# Requests of a line.
_BATCH = 64


def _answer(evaluator: Evaluator, objective: Objective, request: dict[str, Any]) -> dict[str, Any]:
    given = request["parameters"]
    values: list[float] = []
    fixed = {}
    try:
        for name, parameter in objective.parameters.items():
            value = given[name]
            if parameter.kind == "fixed":
                fixed[name] = value
            elif parameter.fields.get("length") is not None:
                values.extend(value)
            else:
                values.append(value)
    except KeyError as missing:
        return {"id": request["id"], "error": f"parameters: {missing} is missing"}
    evaluator.use(fixed)
    kind, figure, scores = evaluator.evaluate(values, request["seed"])
    if kind == VALUE:
        return {"id": request["id"], "value": figure, "scores": dict(zip(objective.scores, scores))}
    return {"id": request["id"], {INFEASIBLE: "infeasible", FAILED: "failed"}.get(kind, "error"): figure}


def serve(objective: Objective) -> None:
    """Answers until the input ends. What the objective prints goes to standard error."""
    answers: TextIO = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout.flush()
    os.dup2(2, 1)
    evaluator = Evaluator(objective)
    print(json.dumps({"batch": _BATCH}), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if isinstance(asked, list):
            answer: Any = [_answer(evaluator, objective, request) for request in asked]
        else:
            answer = _answer(evaluator, objective, asked)
        print(json.dumps(answer, separators=(",", ":")), file=answers, flush=True)
