"""Ask and tell, against the program."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("grpc")

import hebbian

x = hebbian.real(0.0, deviation=0.5)
QUIET = {"kind": "cma-es", "noise": "none"}


@pytest.fixture(autouse=True)
def _needs_the_program(program):
    """All of these start coordinators."""


def f(x):
    return (x - 1) ** 2


def test_a_loop_asks_and_tells():
    with hebbian.Study(x=x, direction="minimise", evaluations=150, noisy=False) as study:
        trials = 0
        for trial in study:
            study.tell(trial, f(trial["x"]))
            trials += 1
        assert study.ask() is None
        result = study.result()
    assert abs(result.parameters["x"] - 1) < 0.01 and result.value == f(result.parameters["x"]) and trials >= 150


def test_a_loop_gives_what_a_search_gives():
    objective = hebbian.objective("study", x=x)(lambda x: f(x))
    expected = hebbian.minimise(objective, evaluations=100, workers=2)
    with hebbian.Study(x=x, direction="minimise", evaluations=100, noisy=False, parallel=4) as study:
        # Out of order.
        while (first := study.ask()) is not None:
            for trial in (study.ask(), first):
                study.tell(trial, f(trial["x"]))
        assert study.result().parameters == expected.parameters


def test_a_study_without_any_value_has_none():
    with hebbian.Study(x=x, direction="minimise", generations=2, noisy=False) as study:
        for trial in study:
            study.tell(trial, failed="no")
        assert study.result().value is None


PART = """
import hebbian, sys, os, signal
study = hebbian.Study(sys.argv[1], x=hebbian.real(0.0, deviation=0.5), direction="minimise", generations=3, noisy=False)
for number, trial in enumerate(study):
    print(trial.generation, trial.candidate, trial["x"], flush=True)
    if number == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    study.tell(trial, (trial["x"] - 1) ** 2)
study.close()
"""


def test_a_study_that_was_killed_asks_the_same_again(tmp_path):
    def lines(folder, kill_at):
        command = [sys.executable, "-c", PART, str(tmp_path / folder), str(kill_at)]
        return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, timeout=60).stdout.splitlines()

    whole = lines("whole", -1)
    first, second = lines("killed", 7), lines("killed", -1)
    assert first == whole[:8]
    # What was told last may not have been committed; nothing else comes twice, and nothing is left out.
    again = len(first) + len(second) - len(whole)
    assert second == whole[len(first) - again :] and again >= 1, (first, second, whole)


def test_what_cannot_be_told_is_refused():
    with pytest.raises(TypeError, match="y: must be made by"):
        hebbian.Study(y=1, direction="minimise", evaluations=1)
    with pytest.raises(TypeError, match="of this process alone"):
        hebbian.Study("folder", coordinator="http://127.0.0.1:1", x=x, direction="minimise", evaluations=1)
    with hebbian.Study(x=x, direction="minimise", generations=1, scores=["s"], parallel=64, population_size=8, strategy=QUIET) as study:
        trial = study.ask()
        assert 0 <= trial.seed < 2**31 and (trial.generation, trial.candidate) == (0, 0)
        for arguments, expected in (
            ({"value": 1.0}, r"must give the scores \['s'\]"),
            ({"value": "1"}, "must give a number"),
            ({"infeasible": -1.0}, "of at least 0"),
        ):
            with pytest.raises(ValueError, match=expected):
                study.tell(trial, **arguments)
        with pytest.raises(TypeError, match="needs one of"):
            study.tell(trial)
        study.tell(trial, 1.0, scores={"s": 2.0})
        with pytest.raises(ValueError, match="told already"):
            study.tell(trial, 1.0, scores={"s": 2.0})
        study.tell(study.ask(), failed="no")
        study.tell(study.ask(), infeasible=2.0)
        study.tell(study.ask(), float("nan"))
        rest = [study.ask(timeout=20) for _ in range(4)]
        with pytest.raises(TimeoutError):
            study.ask(timeout=0.2)
        with pytest.raises(hebbian.HebbianError, match="tell their values first"):
            study.ask()
        for trial in rest:
            study.tell(trial, 0.5, scores={"s": 1.0})
        for trial in study:
            study.tell(trial, 0.25, scores={"s": 1.0})
        assert study.result().value is not None
    assert Path.cwd().exists()
