"""The process that evaluates: calls an objective with what it is told, and says what came of it.

Started by `_pool.py` as `python -m hebbian._evaluate FD`. What the function prints goes where the output of its parent goes.
"""

from __future__ import annotations

import math
import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

from ._escape import line, lines
from ._objective import Failed, Infeasible, Objective
from ._plain import shown

# How an evaluation ended: with a value and scores, a violation, why it failed, or what went wrong.
VALUE, INFEASIBLE, FAILED, ERROR = range(4)
# What the coordinator takes of a reason.
REASON_BYTES_MAX = 1024
# Different reasons of failures and errors that a process prints.
_TOLD_MAX = 16

Outcome = tuple[int, Any, Any]


def cut(text: str) -> str:
    """A reason as short as it must be, in one line."""
    return " ".join(text.split()).encode()[:REASON_BYTES_MAX].decode(errors="ignore") or "no reason was given"


def judged(answer: Any, scores: Sequence[str]) -> Outcome:
    """What an objective's answer says."""
    figures: Mapping[str, Any] | None = None
    if isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], Mapping):
        answer, figures = answer
    if isinstance(answer, str) or answer is None:
        return ERROR, f"the objective must give a number, not {answer!r}", None
    try:
        value = float(answer)
    except (TypeError, ValueError):
        return ERROR, f"the objective must give a number, not {type(answer).__name__}", None
    if not math.isfinite(value):
        return FAILED, f"the value is {value}", None
    if not scores and not figures:
        return VALUE, value, ()
    if figures is None or set(figures) != set(scores):
        return ERROR, f"the objective must give the scores {list(scores)}, not {list(figures or ())}", None
    try:
        given = tuple(float(figures[name]) for name in scores)
    except (TypeError, ValueError) as error:
        return ERROR, f"scores: {error}", None
    bad = [name for name, score in zip(scores, given) if not math.isfinite(score)]
    return (ERROR, f"scores.{bad[0]}: must be a finite number", None) if bad else (VALUE, value, given)


def violation_of(violation: Any) -> float | None:
    """How far a candidate is from what is allowed, as a number of at least 0; None if it says something else."""
    try:
        found = math.nan if isinstance(violation, str) else float(violation)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and found >= 0 else None


def _end_child_of(process: int, error: BaseException | None = None) -> None:
    """Ends this process if it is another one, its child: as Python ends a program, but at once. Nothing of its parent is its to finish."""
    if os.getpid() == process:
        return
    code = 0
    try:
        if isinstance(error, SystemExit):
            if isinstance(error.code, int):
                code = error.code & 0xFF
            elif error.code is not None:
                code = 1
                print(error.code, file=sys.stderr)
        elif error is not None:
            code = 1
            _print(error)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


class Evaluator:
    """Evaluates an objective, in the process that has made it alone: a child that comes out of the objective, as a library that forks may
    leave one, ends there. Its answer would be taken for one of its parent."""

    def __init__(self, objective: Objective) -> None:
        self._process = os.getpid()
        self._function, self._scores, self._takes_seed = objective.function, objective.scores, objective.takes_seed
        self._told: set[str] = set()
        self._plan: list[tuple[str, int | None, bool]] = []
        self._fixed: dict[str, Any] = {}
        for name, parameter in objective.parameters.items():
            if parameter.kind != "fixed":
                self._plan.append((name, parameter.fields.get("length"), parameter.kind == "integer"))
        self._plain = all(length is None and not whole for _, length, whole in self._plan)
        self._names = [name for name, _, _ in self._plan]

    def use(self, fixed: Mapping[str, Any]) -> None:
        """Takes the values that are not searched."""
        self._fixed = dict(fixed)

    def arguments(self, values: Sequence[float]) -> dict[str, Any]:
        """The parameters by their names."""
        if self._plain:
            return {**self._fixed, **dict(zip(self._names, values))}
        named, place = dict(self._fixed), 0
        for name, length, whole in self._plan:
            if length is None:
                value = values[place]
                named[name] = int(value) if whole else value
                place += 1
            else:
                import numpy as np

                named[name] = np.array(values[place : place + length], dtype=np.int64 if whole else np.float64)
                place += length
        return named

    def evaluate(self, values: Sequence[float], seed: int) -> Outcome:
        """How one evaluation ended."""
        named = self.arguments(values)
        if self._takes_seed:
            named["seed"] = seed
        try:
            outcome = judged(self._function(**named), self._scores)
        except BaseException as error:
            _end_child_of(self._process, error)
            return self._raised(error)
        _end_child_of(self._process)
        return self._failed(outcome[1]) if outcome[0] == FAILED else outcome

    def _raised(self, error: BaseException) -> Outcome:
        """How an evaluation ended that raised something."""
        if isinstance(error, Failed):
            return self._failed(cut(str(error)))
        if isinstance(error, Infeasible):
            violation = violation_of(error.violation)
            if violation is not None:
                return INFEASIBLE, violation, None
            return ERROR, f"Infeasible: the violation must be a number of at least 0, not {shown(error.violation)}", None
        return ERROR, self._trouble(error), None

    def _trouble(self, error: BaseException) -> str:
        frames = traceback.extract_tb(error.__traceback__)
        where = f" ({os.path.basename(frames[-1].filename)}, line {frames[-1].lineno})" if frames else ""
        reason = cut(f"{type(error).__name__}: {error}{where}")
        if self._is_news(reason):
            _print(error)
        return reason

    def _failed(self, reason: str) -> Outcome:
        # The coordinator learns that, not why.
        if self._is_news(reason):
            print(line(f"the objective failed: {reason}"), file=sys.stderr, flush=True)
        return FAILED, reason, None

    def _is_news(self, reason: str) -> bool:
        if reason in self._told or len(self._told) >= _TOLD_MAX:
            return False
        self._told.add(reason)
        return True


def _print(error: BaseException) -> None:
    """Where it was raised, on standard error."""
    sys.stderr.write(lines("".join(traceback.format_exception(error))))


def _end_with(life: int) -> None:
    """Ends this process and its children when whoever started it is gone."""
    os.read(life, 1)
    os.killpg(0, signal.SIGKILL)


def main(descriptor: int, life: int) -> None:
    """Serves until the other end of the pipe is closed."""
    threading.Thread(target=_end_with, args=(life,), daemon=True).start()
    with Connection(descriptor) as pipe:
        paths, content = pipe.recv()
        sys.path[:] = paths
        process = os.getpid()
        try:
            evaluator = Evaluator(pickle.loads(content))
        except BaseException as error:
            _end_child_of(process, error)
            _print(error)
            pipe.send(cut(f"the objective cannot be loaded: {type(error).__name__}: {error}"))
            return
        _end_child_of(process)
        pipe.send(None)
        clock = time.perf_counter
        while True:
            try:
                fixed, works = pipe.recv()
            except EOFError:
                return
            if fixed is not None:
                evaluator.use(fixed)
            done = []
            for values, seed in works:
                start = clock()
                outcome = evaluator.evaluate(values, seed)
                done.append((outcome, clock() - start))
            # So that lines stand where they belong.
            sys.stdout.flush()
            pipe.send(done)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
