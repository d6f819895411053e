"""The wire of a worker, against a coordinator that the test plays."""

import json
import math
import queue
import subprocess
import sys
import threading
import time
from concurrent import futures

import pytest

grpc = pytest.importorskip("grpc")

import objectives

import hebbian
from hebbian import v1
from hebbian._pool import Item, Job
from hebbian._session import Block, Session, Ticket
from hebbian.worker import Worker

RUN = "runs/1"


class Played:
    """A coordinator with one stream at a time."""

    def __init__(self, heartbeat=0.1, idle=15.0):
        self.heartbeat, self.idle = heartbeat, idle
        self.streams = queue.Queue()
        self.server = grpc.server(futures.ThreadPoolExecutor(16))
        handler = grpc.stream_stream_rpc_method_handler(
            self.attach,
            request_deserializer=v1.AttachRequest.FromString,
            response_serializer=lambda message: message.SerializeToString(),
        )
        self.server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("hebbian.v1.DispatchService", {"Attach": handler})])
        port = self.server.add_insecure_port("127.0.0.1:0")
        self.address = f"http://127.0.0.1:{port}"
        self.server.start()

    def attach(self, requests, context):
        stream = Stream(next(requests).hello)
        stream.say(
            welcome={
                "worker": 1,
                "heartbeat_interval": {"nanos": int(self.heartbeat * 1e9)},
                "idle_heartbeat_interval": {"seconds": int(self.idle)},
            }
        )

        def listen():
            try:
                for request in requests:
                    stream.heard.put(request)
            except Exception:
                pass
            stream.heard.put(None)
            stream.outgoing.put(None)

        threading.Thread(target=listen, daemon=True).start()
        self.streams.put(stream)
        while (message := stream.outgoing.get()) is not None:
            if isinstance(message, Exception):
                context.abort(grpc.StatusCode.UNAVAILABLE, str(message))
            yield message

    def stream(self):
        return self.streams.get(timeout=20)


class Stream:
    def __init__(self, hello):
        self.hello, self.outgoing, self.heard = hello, queue.Queue(), queue.Queue()

    def say(self, **kind):
        self.outgoing.put(v1.AttachResponse(**kind))

    def cut(self):
        self.outgoing.put(Exception("cut"))

    def announce(self, objective, run=RUN, direction="maximise"):
        spec = objective.spec(direction, generations=1)
        self.say(announcement={"run": run, "spec": json.dumps(spec)})

    def batch(self, values, generation=0, seed=7, run=RUN):
        """Candidates with these numbers, one evaluation each."""
        genomes = [{"candidate": place, "parameters": of if isinstance(of, list) else [of]} for place, of in enumerate(values)]
        assignments = [{"genome": place, "task": 0, "seed": seed} for place in range(len(values))]
        self.say(
            batch={
                "run": run,
                "generation": generation,
                "purpose": v1.EPISODE_PURPOSE_SEARCH,
                "genomes": genomes,
                "assignments": assignments,
            }
        )

    def next(self, kind, timeout=20):
        """The next message of a kind; heartbeats are passed over."""
        while True:
            message = self.heard.get(timeout=timeout)
            found = None if message is None else message.WhichOneof("kind")
            if found == kind:
                return None if message is None else getattr(message, kind)
            assert found == "heartbeat", (found, message)

    def settlements(self, count):
        """So many outcomes by candidate, and the reports' numbers."""
        found, numbers = {}, []
        while len(found) < count:
            report = self.next("report")
            numbers.append(report.sequence)
            for settlement in report.settlements:
                assert settlement.candidate not in found
                found[settlement.candidate] = settlement
        return found, numbers


@pytest.fixture
def played():
    played = Played()
    yield played
    played.server.stop(0)


@pytest.fixture
def attached(played):
    workers = []

    def attach(objective, slots=1):
        worker = Worker(objective, coordinator=played.address, workers=slots, name="tested")
        workers.append(worker)
        return worker, played.stream()

    yield attach
    for worker in workers:
        worker.stop(0.0)


def test_outcomes_are_told_by_their_kind(attached):
    _, stream = attached(objectives.troubled, 2)
    assert list(stream.hello.serves) == ["troubled"] and stream.hello.threads == 2 and stream.hello.display_name == "tested"
    stream.announce(objectives.troubled)
    stream.batch([20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 30])
    found, _ = stream.settlements(12)
    assert found[0].evaluated.fitness == 27 and list(found[0].evaluated.scores) == [40]
    assert found[11].evaluated.fitness == 37
    assert found[1].HasField("diverged") and found[2].HasField("diverged")
    assert found[3].infeasible.violation == 0.25
    reasons = {place: found[place].worker_error.reason for place in (4, 5, 6, 7, 8, 9, 10)}
    expected = {
        4: "ZeroDivisionError: by nothing (objectives.py, line ",
        5: "the evaluating process died: it was killed by SIGSEGV",
        6: "the evaluation took longer than the time limit of 1 s",
        7: "the objective must give a number, not None",
        8: "the objective must give the scores ['twice'], not []",
        9: "Infeasible: the violation must be a number of at least 0, not -1",
        10: "the evaluating process died: it exited with code 3",
    }
    for place, reason in expected.items():
        assert reasons[place].startswith(reason), reasons[place]
    assert all(settlement.compute_time.ToNanoseconds() > 0 for settlement in found.values())


@pytest.mark.parametrize("how, code", [("returns", 0), ("raises", 1), ("fails", 1), ("exits", 7), ("says", 1)])
def test_a_child_that_comes_out_of_the_objective_answers_nothing(attached, capfd, how, code):
    forks = hebbian.objective("forks", x=hebbian.real(0.0, deviation=1.0), how=hebbian.fixed(how))(objectives.forks.function)
    worker, stream = attached(forks)
    stream.announce(forks)
    for generation in range(3):
        stream.batch([10.0 * generation + place for place in range(5)], generation=generation)
        found, _ = stream.settlements(5)
        assert [found[place].evaluated.fitness for place in range(5)] == [10.0 * generation + place + code for place in range(5)]
    worker.stop(0.0)
    # A traceback has the line that says it as well.
    lines = {"raises": 2, "fails": 2, "says": 1}.get(how, 0)
    assert capfd.readouterr().err.count("said by a child") == 15 * lines


@pytest.mark.parametrize("how, code", [("returns", 0), ("exits", 7)])
def test_a_child_that_comes_out_of_the_loading_answers_nothing(attached, how, code):
    local = hebbian.objective("local", x=hebbian.real(0.0, deviation=1.0))(objectives.ForksWhenLoaded(how))
    _, stream = attached(local)
    stream.announce(local)
    stream.batch([2.0, 3.0])
    found, _ = stream.settlements(2)
    assert [found[place].evaluated.fitness for place in (0, 1)] == [2.0 + code, 3.0 + code]


def test_values_come_as_what_they_are(attached):
    _, stream = attached(objectives.of_arrays)
    stream.announce(objectives.of_arrays)
    stream.batch([[0.5, 0.25, 0.25, 2.0, 3.0, 1.0]])
    found, _ = stream.settlements(1)
    assert found[0].evaluated.fitness == 7


def test_it_is_heard_while_it_computes_and_resends_what_was_not_acknowledged(attached, played):
    worker, stream = attached(objectives.troubled)
    stream.announce(objectives.troubled)
    stream.batch([600])
    beats = 0
    while (message := stream.heard.get(timeout=20)).WhichOneof("kind") == "heartbeat":
        beats += 1
    assert beats >= 3
    assert message.report.sequence == 1
    # Computed while nobody listens: told on the next stream, with the one that was not acknowledged.
    stream.batch([400, 401], generation=1)
    while worker.session._held != 2:
        time.sleep(0.01)
    stream.cut()
    again = played.stream()
    first, second = again.next("report"), again.next("report")
    assert (first.sequence, first.generation) == (1, 0) and first.settlements == message.report.settlements
    assert (second.sequence, second.generation, second.settlements[0].candidate) == (2, 1, 0)
    again.say(acknowledge={"sequence": 2})
    again.announce(objectives.troubled)
    again.batch([50], generation=1)
    assert again.next("report").sequence == 3
    again.cut()
    assert played.stream().next("report").sequence == 3


def test_what_is_withdrawn_is_not_evaluated(attached):
    worker, stream = attached(objectives.troubled)
    stream.announce(objectives.troubled)
    stream.batch([300] * 40)
    stream.say(withdraw={"run": RUN, "up_to_generation": 0})
    stream.batch([50], generation=1)
    while (report := stream.next("report")).generation == 0:
        pass
    assert report.settlements[0].evaluated.fitness == 57
    assert worker.evaluations < 5


def test_single_evaluations_are_withdrawn(attached):
    worker, stream = attached(objectives.troubled)
    stream.announce(objectives.troubled)
    stream.batch([300, 50, 51, 52])
    about = {"run": RUN, "generation": 0, "purpose": v1.EPISODE_PURPOSE_SEARCH}
    stream.say(withdraw_episodes={**about, "episodes": [{"candidate": 2}, {"candidate": 1, "task": 1}]})
    stream.say(withdraw_episodes={**about, "generation": 1, "episodes": [{"candidate": 3}]})
    found, _ = stream.settlements(3)
    assert {place: of.evaluated.fitness for place, of in found.items()} == {0: 307, 1: 57, 3: 59}
    # One that has begun ends, with its process, and the next one comes.
    worker, stream = attached(objectives.waits)
    stream.announce(objectives.waits)
    stream.batch([1000.0], generation=2)
    while not worker._pool._working:
        time.sleep(0.01)
    stream.say(withdraw_episodes={**about, "generation": 2, "episodes": [{"candidate": 0}]})
    stream.batch([0.05], generation=3)
    while (report := stream.next("report")).generation == 2:
        assert "not wanted" in report.settlements[0].worker_error.reason
    assert report.settlements[0].evaluated.fitness == 0.05


def test_a_run_that_was_withdrawn_may_come_again(attached):
    _, stream = attached(objectives.troubled)
    stream.announce(objectives.troubled)
    stream.batch([20])
    stream.settlements(1)
    # It was paused, and is resumed: it is announced once on a stream.
    stream.say(withdraw={"run": RUN})
    stream.batch([21], generation=1)
    assert stream.settlements(1)[0][0].evaluated.fitness == 28


def test_it_drains_and_gives_back_what_it_has_not_begun(attached):
    worker, stream = attached(objectives.troubled)
    stream.announce(objectives.troubled)
    stream.batch([300, 301, 302])
    while not worker._pool._working:
        time.sleep(0.01)
    stream.say(drain={"within": {"seconds": 20}})
    stream.next("leaving")
    given = stream.next("give_back")
    assert [episode.candidate for episode in given.episodes] == [1, 2] and given.run == RUN
    assert stream.next("report").settlements[0].candidate == 0
    assert stream.heard.get(timeout=20) is None
    assert worker.join(20) and worker.evaluations == 1


@pytest.mark.parametrize("is_cut", [False, True])
def test_what_has_begun_is_finished_however_long_it_takes(attached, played, is_cut):
    worker, stream = attached(objectives.waits)
    stream.announce(objectives.waits)
    # More than what nobody wants may go on for.
    stream.batch([2.0, 0.5])
    while not worker._pool._working:
        time.sleep(0.01)
    if is_cut:
        stream.cut()
        stream = played.stream()
    else:
        stream.say(drain={"within": {"seconds": 60}})
        stream.next("leaving")
        assert [episode.candidate for episode in stream.next("give_back").episodes] == [1]
    (settlement,) = stream.next("report").settlements
    assert (settlement.candidate, settlement.evaluated.fitness) == (0, 2.0), settlement


def test_what_it_cannot_evaluate_it_rejects(attached):
    _, stream = attached(objectives.score)
    stream.announce(objectives.troubled)
    assert stream.next("reject").reason == "this worker serves 'score', not 'troubled'"
    other = hebbian.objective("score", x=hebbian.real(0.0, deviation=1.0))(lambda x: x)
    stream.announce(other, run="runs/2")
    assert "this worker's 'score' has x (real), layers (integer), not x (real)" in stream.next("reject").reason
    stream.say(announcement={"run": "runs/3", "spec": json.dumps({"tasks": {}})})
    assert "external objectives only" in stream.next("reject").reason
    stream.say(evaluation={"name": "runs/4"})
    assert stream.next("reject").run == "runs/4"


def test_functions_that_cannot_be_imported_are_sent_with_all_that_they_need(attached):
    factor = 3.0
    local = hebbian.objective("local", x=hebbian.real(0.0, deviation=1.0))(lambda x: factor * x)
    _, stream = attached(local)
    stream.announce(local)
    stream.batch([2.0])
    assert stream.settlements(1)[0][0].evaluated.fitness == 6
    lock = threading.Lock()
    locked = hebbian.objective(x=hebbian.real(0.0, deviation=1.0))(lambda x: bool(lock) * x)
    with pytest.raises(hebbian.HebbianError, match="cannot be sent to another process"):
        Worker(locked, coordinator="http://127.0.0.1:1")


def test_an_idle_process_that_dies_is_no_evaluations_fault(attached):
    worker, stream = attached(objectives.troubled)
    stream.announce(objectives.troubled)
    stream.batch([20])
    stream.settlements(1)
    for process in worker._pool.processes():
        process.kill()
        process.wait()
    stream.batch([21], generation=1)
    assert stream.settlements(1)[0][0].evaluated.fitness == 28


CACHED = """
import functools, hebbian, sys
@functools.cache
def factor():
    return 3.0
@hebbian.objective("local", x=hebbian.real(0.0, deviation=1.0))
def local(x):
    return factor() * x
hebbian.work(local, coordinator=sys.argv[1], workers=1)
"""


def test_a_script_is_sent_with_its_caches(played):
    script = subprocess.Popen([sys.executable, "-c", CACHED, played.address])
    stream = played.stream()
    stream.announce(hebbian.objective("local", x=hebbian.real(0.0, deviation=1.0))(lambda x: x))
    stream.batch([2.0])
    assert stream.settlements(1)[0][0].evaluated.fitness == 6
    script.terminate()
    stream.next("leaving")
    assert script.wait(20) == 0


def test_many_short_evaluations_travel_together(attached):
    _, stream = attached(objectives.score, 2)
    stream.announce(objectives.score)
    count = 20_000
    stream.batch([[place / count, 3.0] for place in range(count)])
    found, numbers = stream.settlements(count)
    assert math.isclose(found[0].evaluated.fitness, -1.0) and len(numbers) < 400


def in_advance(pool):
    """Counts what a process is sent before it has answered the last."""
    sent, send = [], pool._send

    def note(process, chunk):
        sent.extend(item.candidate for _, item, _ in chunk.works if process.sent)
        send(process, chunk)

    pool._send = note
    return sent


def test_a_process_has_the_next_evaluation_before_it_answers(attached):
    worker, stream = attached(objectives.waits)
    stream.announce(objectives.waits)
    sent = in_advance(worker._pool)
    stream.batch([0.012])
    stream.settlements(1)
    assert not sent, "how long they take was not known"
    stream.batch([0.012 + place / 1e6 for place in range(8)], generation=1)
    found, _ = stream.settlements(8)
    assert [found[place].evaluated.fitness for place in range(8)] == [0.012 + place / 1e6 for place in range(8)]
    assert sent and not worker._pool._working


def test_long_and_large_evaluations_are_not_sent_in_advance(attached):
    worker, stream = attached(objectives.waits)
    stream.announce(objectives.waits)
    sent = in_advance(worker._pool)
    stream.batch([0.06])
    stream.settlements(1)
    stream.batch([0.06, 0.061, 0.062], generation=1)
    stream.settlements(3)
    assert not sent
    large = hebbian.objective("large", x=hebbian.real(0.0, deviation=1.0, length=10_000))(lambda x: float(x[0]))
    worker, stream = attached(large)
    stream.announce(large)
    sent = in_advance(worker._pool)
    for generation in range(3):
        stream.batch([[float(place)] * 10_000 for place in range(40)], generation=generation)
        stream.settlements(40)
    assert not sent


def test_what_was_sent_in_advance_is_not_blamed_for_a_crash(attached):
    worker, stream = attached(objectives.waits)
    stream.announce(objectives.waits)
    sent = in_advance(worker._pool)
    stream.batch([0.012])
    stream.settlements(1)
    stream.batch([0.012, -1.0, 0.013, 0.014, 0.015], generation=1)
    found, _ = stream.settlements(5)
    assert "killed by SIGKILL" in found[1].worker_error.reason
    assert [found[place].evaluated.fitness for place in (0, 2, 3, 4)] == [0.012, 0.013, 0.014, 0.015]
    assert 2 in sent, "it was in the pipe of the process that died"


@pytest.mark.parametrize("seconds, at_once", [(0.02, True), (0.0001, False)])
def test_what_took_long_is_reported_at_once(seconds, at_once):
    session = Session(objectives.score, ["http://127.0.0.1:1"], "tested", 1, None)
    about = Block(RUN, 0, v1.EPISODE_PURPOSE_SEARCH, 0)
    session._stream, session._held, session._open = 1, 3, {about: 3}
    before = time.monotonic()
    session.finished(Job({}, 1.0), [(Item(Ticket(1, about), 0, 0, 7, (1.0, 3.0)), (0, 1.0, ()), seconds)])
    assert (session._report_at <= time.monotonic()) if at_once else (session._report_at >= before + 0.01)


@pytest.mark.parametrize("slots", [1, 2])
def test_a_worker_that_is_refused_for_good_gives_up(coordinator, slots):
    name = objectives.score.name
    try:
        # What the package itself would not take.
        objectives.score.name = "A b"
        with pytest.raises(hebbian.InvalidRequest, match=r"hello.serves\[0\]: must be") as caught:
            hebbian.work(objectives.score, coordinator=coordinator.address, workers=slots)
        assert caught.value.field == "hello.serves[0]"
    finally:
        objectives.score.name = name
    with pytest.raises(hebbian.InvalidRequest, match=r"hello\.display_name: must be"):
        hebbian.work(objectives.score, coordinator=coordinator.address, workers=slots, name="\x1b[31m")


def test_objectives_say_what_is_wrong_with_them():
    x = hebbian.real(0.0, deviation=1.0)
    for expected, make in (
        ("takes no argument 'y'", lambda: hebbian.objective(y=x)(lambda x: x)),
        ("argument 'y' is no parameter", lambda: hebbian.objective(x=x)(lambda x, y: x)),
        ("x: must be made by hebbian.real", lambda: hebbian.objective(x=1.0)),
        ("needs at least one parameter", lambda: hebbian.objective()),
        ("scores: means something else", lambda: hebbian.objective(scores=x)),
        ("is no objective", lambda: hebbian.maximise(lambda x: x, evaluations=1)),
        ("say when it ends", lambda: hebbian.maximise(objectives.score)),
    ):
        with pytest.raises(TypeError, match=expected):
            make()
    noisy = hebbian.objective(x=x, noisy=True)(lambda x: x).spec("minimise", evaluations=10)["problem"]
    assert noisy["noisy"] is True and "recheck" not in noisy
    checked = hebbian.objective(x=x, recheck={"relative": 1e-6})(lambda x: x).spec("minimise", evaluations=10)["problem"]
    assert checked["recheck"] == {"relative": 1e-6} and "noisy" not in checked
    named = hebbian.objective("my-name", parameters={"scores": x}, time_limit=5.0, evaluations=2)(lambda scores: scores)
    # Of reals Hansen's default, with integers pycma's, in pairs.
    counted = hebbian.objective(x=hebbian.real(0.0, deviation=1.0, length=5), n=hebbian.integer(0, 9, length=4))(lambda x, n: 0.0)
    sizes = [counted.spec("minimise", evaluations=10, strategy=kind)["strategy"]["population_size"] for kind in ("cma-es", "pgpe")]
    assert sizes == [16, 10]
    spec = named.spec("minimise", evaluations=10, strategy={"kind": "cma-es", "step_size": 0.5}, population_size=6)
    assert spec["problem"] == {
        "kind": "external",
        "name": "my-name",
        "direction": "minimise",
        "evaluations_per_candidate": 2,
        "time_limit_s": 5.0,
        "parameters": [{"name": "scores", "kind": "real", "initial": 0.0, "deviation": 1.0}],
    }
    assert spec["strategy"] == {"kind": "cma-es", "step_size": 0.5, "noise": "none", "population_size": 6}
    assert spec["stop"] == {"evaluations": 10}
    assert objectives.score(x=1.0, layers=3, seed=0) == 0.0 and objectives.score.__name__ == "score"
