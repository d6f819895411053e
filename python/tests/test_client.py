"""The client against the program."""

import math

import numpy as np
import pytest

pytest.importorskip("grpc")

import hebbian
from hebbian.connection import Connection

SPEC = {
    "name": "from-python",
    "strategy": {"kind": "cma-es", "population_size": 8},
    "tasks": {"families": ["xor"], "per_generation": 4},
    "stop": {"generations": 3},
}


@pytest.fixture
def client(coordinator):
    with hebbian.Client(coordinator.address) as client:
        yield client


def test_a_run_is_created_watched_extended_and_read(client, rules_worker):
    run = client.create(SPEC, request_id="one")
    assert client.create(SPEC, request_id="one").name == run.name
    assert [generation.generation for generation in run.watch()] == [0, 1, 2]
    result = run.wait()
    assert result.generations == 3 and result.state.finished.criterion == "generations"
    mean, best = run.genome(), run.genome("best")
    assert mean.dtype == np.float64 and mean.shape == best.shape and np.isfinite(mean).all() and (mean != best).any()
    segments = run.segments()
    assert sum(math.prod(of.shape) for of in segments.values()) == mean.size and "forward_transform" in segments
    assert run.extend(generations=5).name == run.name
    assert [generation.generation for generation in run.watch()] == [0, 1, 2, 3, 4]
    assert [generation.generation for generation in run.generations()] == [0, 1, 2, 3, 4]
    # From the middle on.
    numbers = [sequence for sequence, _ in run.events()]
    assert [sequence for sequence, _ in run.events(after=numbers[2])] == numbers[3:]
    assert run.note("seen from Python").notes[-1].endswith("seen from Python")
    fork = run.fork({**SPEC, "stop": {"generations": 6}}, generations=None)
    assert fork.wait().generations == 6
    assert "[strategy]" in run.warm_start()
    assert [of.name for of in client.list()] == [run.name, fork.name]
    assert [of.threads for of in client.workers()] == [1] and client.status().workers == 1
    run.delete()
    with pytest.raises(hebbian.NotFound) as caught:
        run.status()
    assert caught.value.resource == run.name and caught.value.code == "NOT_FOUND"


def test_a_run_is_paused_resumed_and_cancelled(client):
    run = client.create(SPEC)
    assert run.pause().state.HasField("paused")
    with pytest.raises(hebbian.RunPaused, match="is paused"):
        run.wait()
    assert run.resume().state.HasField("running")
    run.cancel()
    with pytest.raises(hebbian.RunEnded, match="was cancelled"):
        run.wait()
    with pytest.raises(hebbian.WrongState):
        run.genome("best")
    with pytest.raises(hebbian.WrongState):
        run.resume()


def test_runs_are_where_they_were_when_their_coordinator_starts_again(program, tmp_path):
    from hebbian.local import Coordinator

    first = Coordinator(tmp_path / "runs")
    with hebbian.Client(first.address) as client:
        run = client.create(SPEC)
    first.stop()
    with Coordinator(tmp_path / "runs") as second, hebbian.Client(second.address) as client:
        assert [of.name for of in client.list()] == [run.name]
        assert (tmp_path / "runs" / "journal.sqlite").exists()


def test_what_is_wrong_is_named(client, tmp_path):
    with pytest.raises(hebbian.InvalidRequest, match="population_size") as caught:
        client.create({**SPEC, "strategy": {"kind": "cma-es", "population_size": 1}})
    assert caught.value.field == "strategy.population_size"
    client.create(SPEC, request_id="one")
    with pytest.raises(hebbian.AlreadyExists, match="request_id") as reused:
        client.create({**SPEC, "seed": 2}, request_id="one")
    assert reused.value.field == "request_id"
    for address in ("localhost:7420", "http://", "http://host:port", "http://host:1/path"):
        with pytest.raises(hebbian.InvalidRequest, match=r"write it as http://127.0.0.1:7420"):
            Connection(address)
    with pytest.raises(hebbian.InvalidRequest, match="is not encrypted"):
        hebbian.Client("http://127.0.0.1:1", tls=hebbian.Tls(ca="ca.pem"))
    with pytest.raises(hebbian.InvalidRequest, match=r"tls.ca: .*No such file"):
        hebbian.Client("https://127.0.0.1:1", tls=hebbian.Tls(ca=tmp_path / "ca.pem"))
    with pytest.raises(hebbian.InvalidRequest, match="certificate and key"):
        hebbian.Client("https://127.0.0.1:1", tls=hebbian.Tls(certificate="a.pem"))
    with hebbian.Client("http://127.0.0.1:1", timeout=5) as nobody, pytest.raises(hebbian.Unavailable, match=r"http://127.0.0.1:1"):
        nobody.status()


def test_names_are_known_and_others_are_not():
    for name in hebbian.__all__:
        assert getattr(hebbian, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'surprise'"):
        hebbian.surprise  # noqa: B018
