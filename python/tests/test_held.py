"""What a node of somebody else's cluster does, without one: a worker that is held, its secrets, and its end."""

import os
import pickle
import queue
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

pytest.importorskip("grpc")

import objectives
from test_access import create
from test_worker import Played

import hebbian
from hebbian._keep import _message
from hebbian._node import ATTACHED, DETACHED, DRAINED, FAILED, LEFT, OVER, Held, Order
from hebbian._pool import pickled
from hebbian.local import Coordinator

MARK = "HEBBIAN_TEST_MARK"
pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found by /proc")


def marked(mark):
    """The processes with a mark in their environment, but for this one."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={mark}\0".encode() in environment.read_bytes() and environment.parent.name != str(os.getpid()):
                found.append(environment.parent)
        except OSError:
            pass
    return found


def until(condition, seconds=30):
    """Waits for what other processes are about to do."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        queue_wait(0.02)


def queue_wait(seconds):
    try:
        queue.Queue().get(timeout=seconds)
    except queue.Empty:
        pass


def seen(held, *states, seconds=60):
    """What is seen of a worker as soon as it is in one of the states."""
    known = held.next(None, 0.0)
    deadline = time.monotonic() + seconds
    while known.state not in (states or OVER):
        assert known.state not in OVER, known
        assert time.monotonic() < deadline, known
        known = held.next(known, 0.5)
    return known


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Where keepers have their directories."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture
def mark(monkeypatch, temporary):
    """A mark of all processes of the test. At its end there are none, and none of their directories."""
    mark = uuid.uuid4().hex
    # The environment that other processes are given; that which the kernel shows of this one stays as it was.
    monkeypatch.setenv(MARK, mark)
    yield mark
    try:
        until(lambda: not marked(mark))
    finally:
        for process in marked(mark):
            os.kill(int(process.name), signal.SIGKILL)
    assert list(temporary.iterdir()) == []


@pytest.fixture
def played():
    played = Played()
    yield played
    played.server.stop(0)


@pytest.fixture
def hold(mark):
    """Holds workers until the end of the test."""
    all_held = []

    def hold(coordinator, objective=None, **options):
        content = None if objective is None else pickled(objective)
        held = Held(Order("held-1", (coordinator.address,), options.pop("slots", 1), options.pop("grace", 60.0), content, **options))
        all_held.append(held)
        return held

    yield hold
    for held in all_held:
        held.drain(0.0)
        seen(held)


def evaluating(stream, seconds):
    """Lets the one slot begin with something that takes so long."""
    stream.announce(objectives.waits)
    stream.batch([seconds, 0.25])


def begun(mark):
    """Until an evaluating process is there."""
    until(lambda: any(b"hebbian._evaluate" in (process / "cmdline").read_bytes() for process in marked(mark)))


def test_it_attaches_and_finishes_what_it_has_begun(hold, played, mark):
    held = hold(played, objectives.waits)
    stream = played.stream()
    assert stream.hello.display_name == "held-1" and stream.hello.threads == 1 and list(stream.hello.serves) == ["waits"]
    found = seen(held, ATTACHED)
    assert found.host and found.process
    evaluating(stream, 3.0)
    # What has an evaluating process has begun; the other one waits behind it.
    begun(mark)
    held.drain(60.0)
    heard = {message.WhichOneof("kind"): message for message in iter(lambda: stream.heard.get(timeout=60), None)}
    assert "leaving" in heard and [episode.candidate for episode in heard["give_back"].give_back.episodes] == [1]
    assert [(of.candidate, of.evaluated.fitness) for of in heard["report"].report.settlements] == [(0, 3.0)]
    assert seen(held).state == LEFT


def test_what_takes_longer_than_its_time_is_killed_with_its_children(hold, played, mark):
    held = hold(played, objectives.waits)
    stream = played.stream()
    evaluating(stream, 1000.0)
    begun(mark)
    held.drain(0.2)
    assert seen(held).state == LEFT


def test_what_its_evaluations_leave_behind_ends_with_it(hold, played, mark):
    def leaves(x):
        return float(subprocess.Popen(["sleep", "1000"], start_new_session=True).pid)

    objective = hebbian.objective("leaves", x=hebbian.real(0.0, deviation=1.0))(leaves)
    held = hold(played, objective)
    stream = played.stream()
    stream.announce(objective)
    stream.batch([1.0])
    left = Path(f"/proc/{int(stream.settlements(1)[0][0].evaluated.fitness)}")
    assert left.exists()
    held.drain(10.0)
    assert seen(held).state == LEFT
    assert not left.exists()


def test_it_is_told_that_its_coordinator_has_drained_it(hold, played):
    held = hold(played, objectives.waits)
    played.stream().say(drain={"within": {"seconds": 20}})
    assert seen(held).state == DRAINED


def test_the_program_is_held_alike(hold, coordinator):
    with hebbian.Client(coordinator.address) as client:
        rules, command = hold(coordinator, slots=2), hold(coordinator, command="cat", serves=("mine",))
        seen(rules, ATTACHED)
        seen(command, ATTACHED)
        workers = list(client.workers())
        assert sorted((worker.display_name, worker.threads) for worker in workers) == [("held-1", 1), ("held-1", 2)]
        for worker in workers:
            client.drain(worker.id)
        assert {seen(rules).state, seen(command).state} == {DRAINED}


def test_it_says_why_it_is_not_attached(hold):
    class Nobody:
        address = "http://127.0.0.1:1"

    for objective in (objectives.score, None):
        found = seen(hold(Nobody, objective), DETACHED)
        assert found.reason.startswith("not attached to a coordinator: http://127.0.0.1:1")


def test_who_ends_it_is_told(hold, played, mark):
    held = hold(played, objectives.waits)
    seen(held, ATTACHED)

    def worker():
        commands = {process: (process / "cmdline").read_bytes().decode().split("\0") for process in marked(mark)}
        (found,) = [process for process, words in commands.items() if words[0] == sys.executable and "import work;" in words[2]]
        return int(found.name)

    os.kill(worker(), signal.SIGKILL)
    assert seen(held)[:2] == (FAILED, "it was killed by SIGKILL")
    held = hold(played, objectives.waits)
    seen(held, ATTACHED)
    os.kill(worker(), signal.SIGTERM)
    assert seen(held)[:2] == (FAILED, "somebody on its node has ended it")
    held = hold(played, objectives.waits)
    keeper = seen(held, ATTACHED).process
    os.kill(keeper, signal.SIGTERM)
    assert seen(held).state == LEFT


def test_a_keeper_that_is_killed_takes_its_worker_along(hold, played, mark, temporary):
    held = hold(played, objectives.waits)
    os.kill(seen(held, ATTACHED).process, signal.SIGKILL)
    assert seen(held)[:2] == (FAILED, "its keeper was killed")
    until(lambda: not marked(mark))
    # Nobody is left who could.
    for folder in temporary.iterdir():
        folder.rmdir()


class Unloadable:
    def __reduce__(self):
        return os.path.join, (1,)


def test_what_cannot_run_is_told(hold, coordinator, monkeypatch):
    def why(objective, **options):
        found = seen(hold(coordinator, objective, **options))
        assert found.state == FAILED
        return found.reason

    content = Unloadable()
    objective = hebbian.objective("o", x=hebbian.real(0.0, deviation=1.0))(lambda x: x if content else None)
    assert why(objective).startswith("the objective cannot be loaded on this node: TypeError: ")
    # Refused by the coordinator for good, and by the program itself.
    held = Held(Order("\x1b[31m", (coordinator.address,), 1, 1.0, pickled(objectives.score)))
    assert "hello.display_name: must be" in seen(held).reason
    held = Held(Order("\x1b[31m", (coordinator.address,), 1, 1.0))
    assert seen(held).reason.startswith("worker.name: must be 1 to 128 bytes without control characters")
    monkeypatch.setenv("HEBBIAN_BINARY", "/none/hebbian")
    assert why(None) == "HebbianError: HEBBIAN_BINARY: /none/hebbian is no program"


@pytest.mark.parametrize("objective", [objectives.score, None])
def test_a_token_is_used_and_stands_in_files_of_this_user_alone(hold, program, tmp_path, mark, temporary, objective, monkeypatch, capfd):
    with Coordinator(tmp_path / "journal") as coordinator:
        admin = create(program, coordinator, tmp_path, "admin", "admin")
        token = create(program, coordinator, tmp_path, "nodes", "worker", admin).read_bytes()
        # What the node has for itself is not used.
        monkeypatch.setenv("HEBBIAN_TOKEN_FILE", "/none/token")
        monkeypatch.setenv("HEBBIAN_TLS_CA", "/none/ca.pem")
        monkeypatch.setenv("HEBBIAN_COORDINATOR", "http://127.0.0.1:1")
        monkeypatch.setenv("HEBBIAN__WORKER__NAME", "other")
        held = hold(coordinator, objective, secrets={"token": token})
        seen(held, ATTACHED)
        with hebbian.Client(coordinator.address, token_file=admin, tls=hebbian.Tls()) as client:
            assert [worker.display_name for worker in client.workers()] == ["held-1"]
        (folder,) = temporary.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()} == {"token": 0o600}
        assert (folder / "token").read_bytes() == token
        processes = marked(mark)
        assert len(processes) >= 3
        for process in processes:
            for place in ("cmdline", "environ"):
                assert token.strip() not in (process / place).read_bytes()
        held.drain(5.0)
        assert seen(held).state == LEFT and list(temporary.iterdir()) == []
    said = "".join(capfd.readouterr())
    assert "hebbian worker held-1: attached" in said and token.strip().decode() not in said


HOLDS = """
import pickle, sys
from hebbian._node import ATTACHED, Held
held = Held(pickle.loads(sys.stdin.buffer.read()))
seen = None
while seen is None or seen.state != ATTACHED:
    seen = held.next(seen, 60)
print("attached", flush=True)
held.next(seen, 1000)
"""


@pytest.mark.parametrize("objective", [objectives.waits, None])
def test_it_ends_with_who_holds_it(mark, played, temporary, objective):
    content = None if objective is None else pickled(objective)
    order = Order("held-1", (played.address,), 1, 20.0, content, secrets={"token": b"hebbian_00"})
    paths = os.pathsep.join([str(Path(hebbian.__file__).parents[1]), str(Path(__file__).parent)])
    script = subprocess.Popen(
        [sys.executable, "-c", HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": paths}
    )
    script.stdin.write(pickle.dumps(order))
    script.stdin.close()
    stream = played.stream()
    assert script.stdout.readline() == b"attached\n"
    if objective is not None:
        evaluating(stream, 1000.0)
        begun(mark)
    script.kill()
    script.wait()
    script.stdout.close()
    # The fixture waits for the others, and for their files.


@pytest.mark.parametrize(
    "line, message",
    [
        ('{"timestamp":"x","level":"WARN","message":"a","times":1}', ("WARN", "a")),
        ('{"value": 1.0}', None),
        ("[1]", None),
        ("3", None),
        ("not JSON", None),
    ],
)
def test_lines_of_its_log_are_told_from_others(line, message):
    assert _message(line) == message
