"""Workers that are placed on somebody else's cluster, against an engine that the test plays."""

import logging
import queue
import sys

import pytest

pytest.importorskip("grpc")

import objectives

import hebbian
from hebbian import _placed
from hebbian._node import ATTACHED, DETACHED, DRAINED, FAILED, LEFT, STARTS, Order, Seen
from hebbian.clusters import _Orders

HERE = "http://127.0.0.1:7420"


class Played:
    """An engine on which nothing happens but what the test says."""

    kind, needs = "Played", "num_cpus=8"

    def __init__(self):
        self.started, self.news, self.done = queue.Queue(), queue.Queue(), queue.Queue()
        self.trouble = self.refusal = None

    def start(self, order):
        if self.refusal is not None:
            raise self.refusal
        worker = Placed(self, order)
        self.started.put(worker)
        return worker

    def look(self, workers, timeout):
        if self.trouble is not None:
            trouble, self.trouble = self.trouble, None
            raise trouble
        try:
            worker, seen = self.news.get(timeout=timeout)
        except queue.Empty:
            return {}
        return {worker: seen} if worker in workers else {}

    def drain(self, worker, within):
        self.done.put((worker, within))

    def end(self, worker):
        worker.ended = True

    def close(self):
        self.done.put("closed")

    def next(self):
        """The next worker that is started."""
        return self.started.get(timeout=20)


class Placed:
    def __init__(self, engine, order):
        self.engine, self.order, self.ended = engine, order, False

    def say(self, state, reason="", host="node"):
        self.engine.news.put((self, Seen(state, reason, host)))


@pytest.fixture
def place(monkeypatch):
    monkeypatch.setattr(_placed, "_BACK_OFF_MIN", 0.01)
    monkeypatch.setattr(_placed, "_BACK_OFF_MAX", 0.02)
    placed = []

    def place(workers, **options):
        engine = Played()
        of = _placed.Workers(engine, lambda name: Order(name, (HERE,), 1, 10.0), workers, "played", 10.0, **options)
        placed.append((of, engine))
        return of, engine

    yield place
    for workers, engine in placed:
        monkeypatch.setattr(_placed, "_MARGIN", -1e9)
        workers.stop(0.0)
        assert list(engine.done.queue)[-1] == "closed"


def until(condition):
    """Waits for what the thread is about to do."""
    for _ in range(2000):
        if condition():
            return
        _pause()
    raise AssertionError("it did not happen in 20 s")


def _pause():
    try:
        queue.Queue().get(timeout=0.01)
    except queue.Empty:
        pass


def test_so_many_are_started_and_counted(place):
    workers, engine = place(3)
    started = [engine.next() for _ in range(3)]
    assert [worker.order.name for worker in started] == ["played-1", "played-2", "played-3"]
    assert workers.working == 0
    for worker in started[:2]:
        worker.say(STARTS)
        worker.say(ATTACHED)
    until(lambda: workers.working == 2)
    assert repr(workers) == "<hebbian workers on Played: 2 of 3 attached>"
    assert not workers.join(0.01)


def test_a_lost_one_is_replaced_and_it_is_told(place, caplog):
    caplog.set_level(logging.INFO, "hebbian")
    workers, engine = place(1)
    first = engine.next()
    first.say(ATTACHED)
    until(lambda: workers.working == 1)
    # Who has lost it does not know where it was.
    first.say(FAILED, "its node was lost", host="")
    second = engine.next()
    assert second.order.name == "played-1" and first.ended and workers.working == 0
    second.say(ATTACHED, host="other")
    until(lambda: workers.working == 1)
    assert caplog.messages == [
        "worker played-1 on node is attached",
        "worker played-1 on node failed: its node was lost; another one is started in 0.01 s",
        "worker played-1 on other is attached",
    ]


def test_one_that_somebody_on_its_node_ends_is_replaced(place):
    _, engine = place(1)
    engine.next().say(LEFT)
    assert engine.next().order.name == "played-1"


def test_those_that_their_coordinator_drains_are_not_replaced(place, caplog):
    caplog.set_level(logging.INFO, "hebbian")
    workers, engine = place(2)
    one, two = engine.next(), engine.next()
    one.say(ATTACHED)
    one.say(DRAINED)
    until(lambda: one.ended)
    assert not workers.join(0.01)
    two.say(DRAINED)
    assert workers.join(20)
    assert engine.started.empty()
    assert "worker played-2 on node was drained by its coordinator, and is not replaced" in caplog.messages
    # They can be asked for again.
    workers.scale(1)
    assert engine.next().order.name == "played-1"


def test_there_are_more_or_fewer_of_them(place):
    workers, engine = place(1)
    one = engine.next()
    workers.scale(3)
    two, three = engine.next(), engine.next()
    for worker in (one, two, three):
        worker.say(ATTACHED)
    until(lambda: workers.working == 3)
    workers.scale(1)
    assert [engine.done.get(timeout=20) for _ in range(2)] == [(two, 10.0), (three, 10.0)]
    assert not (two.ended or three.ended)
    two.say(LEFT)
    three.say(FAILED, "its node was lost meanwhile")
    until(lambda: two.ended and three.ended)
    workers.scale(2)
    assert engine.next().order.name == "played-2"
    workers.scale(1)
    # It has no node yet: nobody is asked.
    until(lambda: repr(workers).endswith("1 of 1 attached>"))
    assert engine.done.empty()


def test_stopping_drains_them_and_waits(place, monkeypatch):
    workers, engine = place(2)
    one, two = engine.next(), engine.next()
    one.say(ATTACHED)
    until(lambda: workers.working == 1)
    one.engine.drain = lambda worker, within: (engine.done.put((worker, within)), worker.say(LEFT))
    workers.stop(3)
    assert list(engine.done.queue) == [(one, 3.0), "closed"]
    assert one.ended and two.ended
    with pytest.raises(hebbian.HebbianError, match="these workers were stopped"):
        workers.scale(1)
    workers.stop()
    assert workers.join(0)


def test_who_does_not_leave_is_killed(place, monkeypatch, caplog):
    monkeypatch.setattr(_placed, "_MARGIN", -1.0)
    workers, engine = place(1)
    one = engine.next()
    one.say(ATTACHED)
    until(lambda: workers.working == 1)
    workers.stop(0.1)
    assert one.ended and "worker played-1 on node was not heard of any more, and is killed" in caplog.messages


def test_a_block_that_raises_waits_for_nobody(place):
    workers, engine = place(1)
    one = engine.next()
    one.say(ATTACHED)
    until(lambda: workers.working == 1)
    engine.drain = lambda worker, within: (engine.done.put((worker, within)), worker.say(LEFT))
    with pytest.raises(KeyError), workers:
        raise KeyError
    assert engine.done.get() == (one, 0.0)


def test_workers_that_fail_again_and_again_are_given_up(place, caplog):
    workers, engine = place(1)
    for _ in range(_placed._FAILURES_MAX):
        engine.next().say(FAILED, "the objective cannot be loaded on this node: No module named 'mine'")
    told = (
        "workers on Played were given up: nobody works, and worker played-1 on node has failed 5 times in a row, the last time: "
        "the objective cannot be loaded on this node: No module named 'mine'"
    )
    for ask in (workers.join, workers.check, lambda: workers.scale(2)):
        with pytest.raises(hebbian.HebbianError) as caught:
            until(lambda: workers.join(0.01))
            ask()
        assert str(caught.value) == told
    assert told in caplog.messages and engine.started.empty()
    workers.stop()


def test_one_that_fails_while_others_work_is_tried_again(place):
    workers, engine = place(2)
    one, two = engine.next(), engine.next()
    one.say(ATTACHED)
    until(lambda: workers.working == 1)
    for _ in range(2 * _placed._FAILURES_MAX):
        two.say(FAILED, "its node is full")
        two = engine.next()
    workers.check()


def test_the_failure_of_a_good_one_is_not_counted(place, monkeypatch):
    monkeypatch.setattr(_placed, "_GOOD", 0.0)
    workers, engine = place(1)
    for _ in range(2 * _placed._FAILURES_MAX):
        worker = engine.next()
        worker.say(ATTACHED)
        worker.say(FAILED, "its node was lost")
    assert engine.next()
    workers.check()


def test_an_engine_that_starts_nothing_is_told(place):
    workers, engine = place(0)
    engine.refusal = RuntimeError("no such runtime environment")
    workers.scale(1)
    with pytest.raises(hebbian.HebbianError, match="the last time: RuntimeError: no such runtime environment"):
        workers.join(20)


def test_an_engine_that_cannot_be_asked_has_lost_them(place, caplog):
    _, engine = place(1)
    first = engine.next()
    engine.trouble = ConnectionError("nobody is there")
    assert engine.next() is not first
    assert any("Played cannot be asked: ConnectionError: nobody is there" in message for message in caplog.messages)


def test_who_waits_for_a_place_and_who_finds_no_coordinator_is_told(place, monkeypatch, caplog):
    monkeypatch.setattr(_placed, "_PENDING", 0.0)
    _, engine = place(1, loopback=True)
    worker = engine.next()
    until(lambda: "worker played-1 has not been started by Played yet, of which it takes num_cpus=8" in caplog.messages)
    for _ in range(2):
        worker.say(DETACHED, f"not attached to a coordinator: {HERE}: UNAVAILABLE")
    told = f"worker played-1 on node: not attached to a coordinator: {HERE}: UNAVAILABLE; give an address that the nodes reach"
    until(lambda: told in caplog.messages)
    assert len(caplog.messages) == 2


@pytest.mark.parametrize("on", [hebbian.on_ray, hebbian.on_dask])
@pytest.mark.parametrize(
    "arguments, error",
    [
        ({"score": lambda x: x}, "is no objective"),
        ({"workers": -1}, "workers: must be a whole number from 0 to 10000, not -1"),
        ({"workers": "2"}, "workers: must be a whole number from 0 to 10000, not '2'"),
        ({"slots": 0}, "slots: must be a whole number from 1 to 1024, not 0"),
        ({"grace": -1}, "grace: must be a number of at least 0"),
        ({"name": "a\n"}, r"name: must be a text of 1 to 120 bytes without control characters, not 'a\\n'"),
        ({"name": ""}, "name: must be a text of 1 to 120 bytes"),
        ({"command": ""}, "command: must be a text, as `hebbian worker --exec` takes it, not ''"),
        ({"command": "true", "score": objectives.score}, "command: a worker evaluates an objective or by a command, not both"),
        ({"serves": "x", "command": "true"}, "serves: must be a list of names of problems, not 'x'"),
        ({"serves": ["x"]}, "serves: is of workers with a command"),
        ({"serves": ["x", "A b"], "command": "true"}, r"serves\[1\]: must be 1 to 64 characters"),
        ({"coordinator": "here"}, "coordinator: 'here' is no address; write it as"),
        ({"coordinator": [HERE, "ftp://a"]}, "coordinator: 'ftp://a' is no address"),
        ({"coordinator": HERE, "tls": hebbian.Tls(ca="ca.pem")}, "is not encrypted, although there are certificates"),
        ({"coordinator": "https://a:1", "tls": hebbian.Tls(certificate="a.pem")}, "tls: certificate and key must be given together"),
        ({"coordinator": "https://a:1", "tls": hebbian.Tls(ca="/none/ca.pem")}, "tls.ca: .*No such file"),
        ({"token_file": "/none/token"}, "token_file: .*No such file"),
    ],
)
def test_what_is_wrong_is_refused_before_anything_starts(monkeypatch, on, arguments, error):
    # Also where the packages are not there.
    for package in ("ray", "distributed"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises((TypeError, ValueError, hebbian.InvalidRequest), match=error):
        on(**arguments)


def test_a_token_is_not_sent_where_others_can_read_it(tmp_path):
    path = tmp_path / "a.token"
    path.write_text("hebbian_00\n")
    with pytest.raises(hebbian.InvalidRequest, match="could read the token"):
        hebbian.on_ray(objectives.score, coordinator="http://coordinator.example:7420", token_file=path)


@pytest.mark.parametrize(
    "arguments, error", [({"resources": 3}, "resources: must be a dictionary"), ({"nodes": "a"}, "nodes: must be a list")]
)
def test_what_is_wrong_for_dask_is_refused(arguments, error):
    with pytest.raises(TypeError, match=error):
        hebbian.on_dask(objectives.score, **arguments)


def test_packages_that_are_missing_are_named(monkeypatch):
    for package in ("ray", "distributed"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"on_ray needs Ray: pip install 'hebbian\[ray\]'"):
        hebbian.on_ray(objectives.score)
    with pytest.raises(ImportError, match=r"on_dask needs Dask: pip install 'hebbian\[dask\]'"):
        hebbian.on_dask(objectives.score)


def test_secrets_are_read_for_each_and_shown_nowhere(tmp_path, monkeypatch):
    token = tmp_path / "a.token"
    token.write_text("hebbian_00\n")
    monkeypatch.setenv("HEBBIAN_TOKEN_FILE", str(token))
    orders = _Orders(objectives.score, HERE, 2, "ray", None, (), None, None, 5.0)
    first = orders("ray-1")
    token.write_text("hebbian_11\n")
    assert (first.secrets, orders("ray-2").secrets) == ({"token": b"hebbian_00\n"}, {"token": b"hebbian_11\n"})
    assert repr(first) == f"Order(name='ray-1', coordinators=('{HERE}',), slots=2, grace=5.0, command=None, serves=())"
