"""What is wrong with an argument is said by its name, and every kind of number is a number."""

import decimal
import json
import math

import numpy as np
import pytest

pytest.importorskip("grpc")

import hebbian
from hebbian import fixed, integer, real
from hebbian._plain import plain
from hebbian.callbacks import Progress
from hebbian.local import Coordinator

X = {"x": real(0.0, deviation=1.0)}


def made(name="o", /, **options):
    return hebbian.objective(name, **X, **options)(lambda x: -(float(x) ** 2))


@pytest.mark.parametrize(
    "make, error",
    [
        (lambda: real(0.0, deviation=math.nan), "real: deviation: must be a finite number, not nan"),
        (lambda: real(math.inf, deviation=1.0), "real: initial: must be a finite number, not inf"),
        (lambda: real(0.0, low=-math.inf), "real: low: must be a finite number, not -inf; without it there is no bound"),
        (lambda: real(0.0, deviation=10**400), "real: deviation: must be a finite number, not 1000"),
        (lambda: real("a"), "real: initial: must be a number, not 'a'"),
        (lambda: real(np.array([1.0, 2.0])), "real: initial: must be a number, not array"),
        (lambda: real(np.complex128(1j)), "real: initial: must be a number, not "),
        (lambda: real(low=0.0, high=1.0, length=0), "real: length: must be a whole number of at least 1, not 0"),
        (lambda: integer(0, 4, length=-1), "integer: length: must be a whole number of at least 1, not -1"),
        (lambda: integer("a", 4), "integer: low: must be a number, not 'a'"),
        (lambda: integer(0, math.nan), "integer: high: must be a finite number, not nan"),
        (lambda: fixed(math.nan), "fixed: must be a finite number, not nan"),
        (lambda: fixed(None), "fixed: must be a number, a text, true or false, not None"),
        (lambda: fixed(2**70), r"fixed: must be a whole number from -2\^53 to 2\^53, or a float or a text, not 1180591620717411303424"),
        (lambda: fixed(-(2**53) - 1), r"from -2\^53 to 2\^53"),
        (lambda: fixed(10**5000), "not a number of 16610 bits|not 1000"),
        (lambda: made("A b"), "name: must be 1 to 64 characters of a-z, 0-9, `-`, `_` and `.`, the first a letter or a digit, not 'A b'"),
        (lambda: hebbian.objective("", **X), "name: must be 1 to 64"),
        (lambda: hebbian.objective("x" * 65, **X), "name: must be 1 to 64"),
        (lambda: hebbian.objective(".x", **X), "name: must be 1 to 64"),
        (lambda: hebbian.objective("x\n", **X), "name: must be 1 to 64"),
        (lambda: hebbian.objective(lambda x: x), "objective: needs its parameters"),
        (lambda: made(time_limit=math.inf), "time_limit: must be a finite number, not inf"),
        (lambda: made(recheck={"absolute": math.nan}), "recheck.absolute: must be a finite number, not nan"),
        (lambda: made(recheck=1e-9), "recheck: must be a dictionary"),
        (lambda: made(evaluations="4"), "evaluations: must be a number, not '4'"),
        (lambda: made(seeds=[]), "seeds: must have at least one; without it each generation has fresh ones"),
        (lambda: made(seeds=3), "seeds: must be a list of whole numbers, not 3"),
        (lambda: made(scores="abc"), "scores: must be a list of names, .*, not 'abc'"),
        (lambda: made(scores=[3]), r"scores\[0\]: must be a name, not 3"),
        (lambda: hebbian.objective("o", parameters=3), "parameters: must be a dictionary"),
        (lambda: hebbian.maximise(made(), evaluations=10, strategy=3), 'strategy: must be a name, for example "cma-es", .*, not 3'),
        (lambda: made().spec("minimise", strategy={"step_size": math.nan}), "strategy.step_size: must be a finite number, not nan"),
        (lambda: hebbian.maximise(made(), target=math.nan), "target: must be a finite number, not nan"),
        (lambda: hebbian.maximise(made(), time_limit=math.inf), "time_limit: must be a finite number, not inf"),
        (lambda: hebbian.maximise(made(), evaluations=10, workers="2"), "workers: must be a whole number from 1 to 1024, not '2'"),
        (lambda: hebbian.maximise(made(), evaluations=10, workers=0), "workers: must be a whole number from 1 to 1024, not 0"),
        (lambda: hebbian.Worker(made(), workers=1.5), "workers: must be a whole number from 1 to 1024, not 1.5"),
        (
            lambda: hebbian.maximise(made(), evaluations=10, callbacks=Progress()),
            r"callbacks: must be a list, for example \[Progress\(\)\]",
        ),
        (
            lambda: hebbian.maximise(made(), evaluations=10, callbacks=[3]),
            r"callbacks\[0\]: must be a function or a hebbian.Callback, not 3",
        ),
        (
            lambda: hebbian.maximise(made(), evaluations=10, callbacks=[Progress]),
            r"callbacks\[0\]: must be one that was made, Progress\(..\)",
        ),
        (lambda: hebbian.maximise(made(), evaluations=10, directory=3), "directory: must be a path, not 3"),
        (lambda: hebbian.maximise(made(), evaluations=10, request_id=3), "request_id: must be a text, not 3"),
        (lambda: hebbian.Study(parameters={"x": 3}, direction="minimise", evaluations=3), "x: must be made by hebbian.real"),
        (lambda: hebbian.Study(name="A b", direction="minimise", evaluations=3, **X), "name: must be 1 to 64 characters"),
        (
            lambda: hebbian.Study(parallel=0, direction="minimise", evaluations=3, **X),
            "parallel: must be a whole number from 1 to 1024, not 0",
        ),
        (lambda: plain({"a": [{3: 1}]}), r"a\[0\]: its names must be texts, not 3"),
    ],
)
def test_what_is_wrong_is_named(make, error):
    with pytest.raises((TypeError, ValueError), match=error):
        make()


def test_a_coordinator_or_a_spec_that_is_none_is_named():
    with pytest.raises(hebbian.InvalidRequest, match="coordinator: must be an address or a list of them, not 3") as caught:
        hebbian.Client(3)
    assert caught.value.field == "coordinator"
    with hebbian.Client("http://127.0.0.1:1") as client:
        for value, error in ((math.nan, "must be a finite number, not nan"), (object(), "must be a number, a text")):
            with pytest.raises(hebbian.InvalidRequest, match=rf"strategy.weights\[1\]: {error}") as caught:
                client.create({"strategy": {"weights": [1.0, value]}})
            assert caught.value.field == "strategy.weights[1]"


def test_every_kind_of_number_is_a_number():
    parameters = {
        "a": real(np.float32(0.5), deviation=np.array(1.0), low=decimal.Decimal("-1.5"), length=np.int8(3)),
        "b": integer(np.int64(0), np.uint8(4), initial=np.float64(2.0)),
        "c": fixed(np.float32(2.0)),
        "d": fixed(np.int64(-(2**53))),
        "e": fixed(np.bool_(True)),
        "f": fixed(np.str_("text")),
    }
    objective = hebbian.objective(
        "o",
        parameters=parameters,
        evaluations=np.int64(3),
        seeds=np.arange(3),
        time_limit=np.float32(0.5),
        recheck={"absolute": np.float64(1)},
    )(lambda **_: 0.0)
    spec = objective.spec(
        "minimise",
        evaluations=np.int64(30),
        target=np.float32(0.5),
        seed=np.uint64(7),
        population_size=np.int16(8),
        strategy={"step_size": np.float32(0.5)},
    )
    assert json.loads(json.dumps(spec)) == {
        "name": "o",
        "seed": 7,
        "strategy": {"step_size": 0.5, "population_size": 8},
        "problem": {
            "kind": "external",
            "name": "o",
            "direction": "minimise",
            "evaluations_per_candidate": 3,
            "seeds": [0, 1, 2],
            "time_limit_s": 0.5,
            "recheck": {"absolute": 1.0},
            "parameters": [
                {"name": "a", "kind": "real", "initial": 0.5, "deviation": 1.0, "low": -1.5, "length": 3},
                {"name": "b", "kind": "integer", "low": 0, "high": 4, "initial": 2.0},
                {"name": "c", "kind": "fixed", "value": 2.0},
                {"name": "d", "kind": "fixed", "value": -(2**53)},
                {"name": "e", "kind": "fixed", "value": True},
                {"name": "f", "kind": "fixed", "value": "text"},
            ],
        },
        "stop": {"evaluations": 30, "target_fitness": 0.5},
    }
    # Whole ones stay whole: a directory knows its spec again.
    assert "1.0" not in json.dumps(hebbian.objective(x=real(1, deviation=1))(lambda x: x).spec("minimise")["problem"])
    assert plain({"a": (np.float32(0.5), np.arange(2), None)}) == {"a": [0.5, [0, 1], None]}


def test_names_that_functions_have_are_names():
    def _A_very(x):
        return x

    _A_very.__name__ = "_Ä" + "x" * 100
    assert hebbian.objective(**X)(_A_very).name == "x" * 64
    assert hebbian.objective(**X)(lambda x: x).name == "lambda"


def test_numbers_of_numpy_are_searched(program):
    objective = hebbian.objective("o", x=real(np.float32(0), deviation=np.float32(1)), n=integer(np.int64(0), np.int64(4)))(
        lambda x, n: x + n
    )
    result = hebbian.maximise(objective, evaluations=np.int64(30), workers=np.int64(1))
    assert result.parameters == hebbian.maximise(objective, evaluations=30, workers=1).parameters


def test_another_spec_in_a_directory_is_told_by_what_differs(program, tmp_path):
    folder = tmp_path / "journal"
    hebbian.maximise(made(), generations=2, workers=1, directory=folder)
    other = hebbian.objective("o", x=real(0.5, deviation=1.0, high=3.0))(lambda x: x)
    for change, told in (
        (lambda: hebbian.maximise(made(), generations=3, workers=1, directory=folder), "generations was 2 and is 3"),
        (
            lambda: hebbian.minimise(made(), evaluations=9, directory=folder),
            "direction was 'maximise' and is 'minimise'; evaluations is new; generations was 2",
        ),
        (lambda: hebbian.maximise(other, generations=2, directory=folder), "x.initial was 0.0 and is 0.5; x.high is new"),
        (lambda: hebbian.Study(folder, name="o", direction="maximise", generations=2, seed=2, noisy=False, **X), "seed was 1 and is 2"),
    ):
        with pytest.raises(hebbian.AlreadyExists) as caught:
            change()
        start = f"directory: {folder} has 'o' with other settings already: {told}. The same settings go on with it; "
        assert str(caught.value) == start + "for other ones say another directory or name"
        assert (caught.value.field, caught.value.code) == ("directory", "ALREADY_EXISTS")


def test_another_spec_of_a_shared_study_is_told_by_what_differs(coordinator):
    settings = {"coordinator": coordinator.address, "direction": "minimise", **X}
    with (
        hebbian.Study(generations=2, **settings),
        pytest.raises(hebbian.AlreadyExists, match=r"'study' with other settings already: generations was 2 and is 3\. .*another name$"),
    ):
        hebbian.Study(generations=3, **settings)


def test_a_closed_study_says_so(program):
    study = hebbian.Study(direction="minimise", generations=2, **X)
    trial = study.ask()
    for arguments, error in (
        ({"failed": 3}, "failed: must be a text that says why, not 3"),
        ({"infeasible": "a"}, "infeasible: must be a number of at least 0, not 'a'"),
        ({"value": 1.0, "scores": 3}, "scores: must be a dictionary from names to numbers, not 3"),
    ):
        with pytest.raises((TypeError, ValueError), match=error):
            study.tell(trial, **arguments)
    with pytest.raises(TypeError, match="trial: must be what ask gave, not 3"):
        study.tell(3, 1.0)
    study.tell(trial, infeasible=np.float32(0.5))
    left = study.ask()
    study.close()
    study.close()
    for use in (study.ask, study.result, lambda: study.tell(left, 1.0)):
        with pytest.raises(hebbian.HebbianError, match="this study was closed"):
            use()


def test_a_directory_is_a_path():
    with pytest.raises(TypeError, match="directory: must be a path, not 3"):
        Coordinator(3)
