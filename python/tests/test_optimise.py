"""Searches with objectives in Python, against the program."""

import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("grpc")

import objectives

import hebbian
from hebbian.optimise import Callback

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "PYTHON.md"
x = hebbian.real(0.0, deviation=0.5)


@pytest.fixture(autouse=True)
def _needs_the_program(program):
    """All of these start coordinators."""


def started(code, *arguments):
    """A program in Python, with its standard output."""
    command = [sys.executable, "-u", "-c", f"import sys; sys.path.insert(0, {str(HERE)!r})\n{code}", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_the_lines_of_the_page_run_as_they_stand(tmp_path):
    code = next(block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S) if "maximise" in block)
    path = tmp_path / "lines.py"
    path.write_text(code)
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.match(r"\{'x': (0\.99999\d*|1\.0\d*), 'layers': 3\} -?[\d.e-]+\n", done.stdout), done.stdout


def test_the_cart_pole_of_the_examples_is_balanced():
    path = HERE.parents[1] / "examples" / "balance.py"
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    value = float(re.match(r"value ([\d.]+) after 7\d\d candidates", done.stdout)[1])
    stated = float(re.search(r"value ([\d.]+);", path.read_text())[1])
    assert value > 0.88 and abs(value - stated) < 0.005, (done.stdout, stated)


class Heard(Callback):
    def __init__(self):
        self.heard = []

    def started(self, run, spec):
        self.heard.append(("started", run.name, spec["problem"]["name"]))

    def generation(self, number, figures):
        self.heard.append((number, figures))

    def ended(self, result):
        self.heard.append(("ended", result))


def test_the_number_of_workers_changes_nothing():
    heard = Heard()
    figures = []
    first = hebbian.maximise(
        objectives.score, evaluations=200, workers=1, callbacks=[heard, lambda number, of: figures.append((number, of["best"]))]
    )
    second = hebbian.maximise(objectives.score, evaluations=200, workers=3)
    assert first.parameters == second.parameters and first.value == second.value
    assert abs(first.parameters["x"] - 1) < 0.1 and first.parameters["layers"] == 3 and isinstance(first.parameters["layers"], int)
    assert first.value == objectives.score(**first.parameters, seed=1)
    assert 200 <= first.evaluations < 230 and first.stopped.startswith("evaluations")
    assert heard.heard[0][0] == "started" and heard.heard[-1] == ("ended", first)
    assert [of[0] for of in heard.heard[1:-1]] == list(range(first.generations)) and len(figures) == first.generations
    assert figures[-1][1] > figures[0][1] and heard.heard[1][1]["failed"] == 0
    other = hebbian.maximise(objectives.score, evaluations=200, workers=2, seed=2)
    assert other.parameters != first.parameters


def test_parameters_of_every_kind_are_minimised():
    @hebbian.objective(
        scores=["distance"],
        rate=hebbian.real(low=1e-4, high=1.0, log=True),
        weights=hebbian.real(0.5, deviation=0.2, length=3),
        counts=hebbian.integer(0, 9, length=2),
        kind=hebbian.fixed("square"),
    )
    def loss(rate, weights, counts, kind):
        assert kind == "square"
        if counts[0] > 7:
            raise hebbian.Infeasible(float(counts[0] - 7))
        distance = (math.log(rate) - math.log(0.01)) ** 2 + ((weights - 0.25) ** 2).sum() + ((counts - 4) ** 2).sum()
        return distance, {"distance": distance}

    result = hebbian.minimise(loss, evaluations=1500, workers=2, population_size=16)
    found = result.parameters
    assert set(found) == {"rate", "weights", "counts", "kind"} and found["kind"] == "square"
    assert abs(math.log(found["rate"] / 0.01)) < 0.1 and np.abs(found["weights"] - 0.25).max() < 0.1
    assert found["counts"].tolist() == [4, 4] and found["counts"].dtype.kind == "i"
    assert 0 <= result.value < 0.01 and result.scores == {"distance": result.value}


def test_what_fails_is_ranked_last_and_what_is_wrong_stops_the_run():
    @hebbian.objective(x=x)
    def half(x):
        if x < 0:
            raise hebbian.Failed("negative")
        return float("nan") if x > 2 else -((x - 1) ** 2)

    assert abs(hebbian.maximise(half, evaluations=300, workers=2).parameters["x"] - 1) < 0.01

    @hebbian.objective(x=x)
    def wrong(x):
        return x / 0

    for workers in (1, 4):
        with pytest.raises(hebbian.RunPaused, match="ZeroDivisionError: "):
            hebbian.maximise(wrong, evaluations=300, workers=workers)
    with pytest.raises(hebbian.InvalidRequest) as caught:
        hebbian.maximise(objectives.score, evaluations=300, population_size=1)
    assert caught.value.field == "strategy.population_size"


def all_fail(x):
    raise hebbian.Failed("never")


def all_infeasible(x):
    raise hebbian.Infeasible(1.0)


@pytest.mark.parametrize("function", [all_fail, all_infeasible, lambda x: math.nan, lambda x: math.inf])
@pytest.mark.parametrize("search", [hebbian.maximise, hebbian.minimise])
def test_without_any_value_there_is_none(function, search):
    result = search(hebbian.objective("none", x=x)(function), generations=2, workers=1)
    assert result.value is None and result.scores == {} and set(result.parameters) == {"x"}


def test_zero_has_no_sign():
    figures = []
    zero = hebbian.objective("zero", x=x, scores=["s"])(lambda x: (0.0, {"s": 0.0}))
    result = hebbian.minimise(zero, generations=2, workers=1, callbacks=[lambda number, of: figures.append(of)])
    assert result.scores == {"s": 0.0}
    for value in (result.value, figures[0]["best"], figures[0]["median"]):
        assert value == 0 and math.copysign(1.0, value) == 1.0


def test_workers_may_die_at_any_time():
    undisturbed = hebbian.maximise(objectives.score, evaluations=300, workers=2)

    # Dies once for each candidate that is like this, and is there again.
    @hebbian.objective("score", x=x, layers=hebbian.integer(1, 8))
    def mortal(x, layers, seed, _files=os.getcwd):
        del seed, _files
        mark = Path(folder) / f"{x}-{layers}"
        if int(x * 1e6) % 7 == 0 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return -((x - 1.0) ** 2) - 0.1 * (layers - 3) ** 2

    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        disturbed = hebbian.maximise(mortal, evaluations=300, workers=4)
        assert any(Path(folder).iterdir())
    assert disturbed.parameters == undisturbed.parameters and disturbed.value == undisturbed.value


def test_errors_in_a_row_of_many_processes_are_no_reason_to_pause(tmp_path):
    undisturbed = hebbian.maximise(objectives.score, evaluations=200, population_size=16, workers=2)
    folder = str(tmp_path)

    # Each evaluation fails when it is tried first: so those of all processes do, one after the other.
    @hebbian.objective("score", x=x, layers=hebbian.integer(1, 8))
    def flaky(x, layers, seed):
        mark = Path(folder) / f"{x}-{layers}-{seed}"
        if not mark.exists():
            mark.touch()
            raise OSError("not now")
        return -((x - 1.0) ** 2) - 0.1 * (layers - 3) ** 2

    disturbed = hebbian.maximise(flaky, evaluations=200, population_size=16, workers=8)
    assert len(list(tmp_path.iterdir())) >= 200
    assert disturbed.parameters == undisturbed.parameters and disturbed.value == undisturbed.value


WORK = """
import hebbian, objectives, sys
print(hebbian.work(objectives.score, coordinator=sys.argv[1], workers=1))
"""


def test_workers_elsewhere_evaluate_and_leave_in_order(coordinator):
    workers = [started(WORK, coordinator.address) for _ in range(2)]
    # One that comes late could find nothing left.
    with hebbian.Client(coordinator.address) as client:
        while len(list(client.workers())) < 2:
            assert all(worker.poll() is None for worker in workers)
            time.sleep(0.01)
    result = hebbian.maximise(objectives.score, evaluations=200, coordinator=coordinator.address)
    assert result.parameters == hebbian.maximise(objectives.score, evaluations=200, workers=1).parameters
    with hebbian.Client(coordinator.address) as client:
        assert all(list(worker.serves) == ["score"] for worker in client.workers())
    counts = []
    for worker in workers:
        worker.send_signal(signal.SIGTERM)
        counts.append(int(worker.communicate(timeout=30)[0]))
        assert worker.returncode == 0
    assert sum(counts) >= result.evaluations and min(counts) > 0


SLOW = """
import hebbian, sys, time
@hebbian.objective(x=hebbian.real(0.0, deviation=0.5))
def slow(x):
    time.sleep(0.01)
    return -(x - 1.0) ** 2
print("generation", flush=True)
def tell(number, figures):
    print(number, flush=True)
result = hebbian.maximise(slow, evaluations=120, workers=2, directory=sys.argv[1], callbacks=[tell])
print(result.parameters, result.value)
"""


def test_a_search_that_was_killed_goes_on_in_its_directory(tmp_path):
    whole = started(SLOW, tmp_path / "whole").communicate(timeout=60)[0].splitlines()[-1]
    killed = started(SLOW, tmp_path / "killed")
    while killed.stdout.readline().strip() != "5":
        pass
    killed.kill()
    killed.communicate()
    assert started(SLOW, tmp_path / "killed").communicate(timeout=60)[0].splitlines()[-1] == whole


RAISES = """
import hebbian

@hebbian.objective(x=hebbian.real(0.0, deviation=1.0))
def score(x):
    raise RuntimeError("never any good")

hebbian.maximise(score, evaluations=100, workers=1)
"""


def test_an_exception_is_told_with_its_place_in_the_script(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text(RAISES)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert "(with directory= the same call again would go on there)" in done.stderr, done.stderr
    assert "is paused" in done.stderr and "RuntimeError: never any good (mine.py, line 6)" in done.stderr, done.stderr
    # The evaluating process prints it once, with the line itself.
    assert done.stderr.count(f'File "{script}", line 6, in score\n    raise RuntimeError("never any good")\n') == 1, done.stderr


def test_what_paused_goes_on_in_its_directory(tmp_path):
    script = tmp_path / "mine.py"
    good = RAISES.replace("workers=1", "workers=1, directory='journal'").replace('raise RuntimeError("never any good")', "return x")
    bad = good.replace("return x", 'assert x < 1, "too large"\n    return x')

    def done(text):
        script.write_text(text)
        return subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path)

    paused = done(bad)
    assert "too large (mine.py, line 6)" in paused.stderr and "(the same call again goes on there)" in paused.stderr, paused.stderr
    gone_on = done(good)
    assert gone_on.returncode == 0, gone_on.stderr


def test_a_program_on_a_pipe_is_evaluated_by_the_program(program, tmp_path):
    (tmp_path / "objective.py").write_text("import objectives\nobjectives.score.serve()\n")
    spec = objectives.score.spec("maximise", evaluations=200)
    import json

    (tmp_path / "spec.json").write_text(json.dumps(spec))
    command = f"{sys.executable} {tmp_path / 'objective.py'}"
    environment = {**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent}"}
    done = subprocess.run(
        [program, "run", str(tmp_path / "spec.json"), "--exec", command, "--workers", "2", "--out", str(tmp_path / "out")],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out" / "parameters.json").read_text())
    expected = hebbian.maximise(objectives.score, evaluations=200, workers=1)
    assert found["parameters"] == expected.parameters and found["value"] == expected.value


def test_the_coordinator_ends_with_its_process():
    code = "from hebbian.local import Coordinator\nimport time\nprint(Coordinator().address, flush=True)\ntime.sleep(100)"
    process = started(code)
    address = process.stdout.readline().strip()
    with hebbian.Client(address, timeout=2) as client:
        client.status()
        process.kill()
        process.communicate()
        deadline = time.monotonic() + 20
        with pytest.raises(hebbian.Unavailable):
            while time.monotonic() < deadline:
                client.status()
