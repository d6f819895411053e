"""Workers on local clusters of Ray and of Dask from PyPI; `tests/slow/run clusters` installs both."""

import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import pytest

pytest.importorskip("grpc")

import objectives
from test_access import create
from test_held import MARK, marked, queue_wait
from test_worker import Played

import hebbian
from hebbian.local import Coordinator

FOLDERS = [str(Path(hebbian.__file__).parents[1]), str(Path(__file__).parent)]
# Also on a machine that is busy with other things.
PATIENCE = 480
# Of every process of the clusters.
CLUSTERS = uuid.uuid4().hex


def until(condition, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen in time"
        queue_wait(0.05)
    return found


def attached(workers, count):
    def are():
        workers.check()
        return workers.working == count

    until(are)


class OfRay:
    """A Ray of this machine with two nodes."""

    kind = "ray"

    def __init__(self):
        ray = pytest.importorskip("ray")
        from ray.cluster_utils import Cluster

        self.ray = ray
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": False})
        ray.init(address=self.cluster.address, log_to_driver=False)

    def on(self, *arguments, **options):
        return hebbian.on_ray(*arguments, **options)

    def add_node(self):
        node = self.cluster.add_node(num_cpus=2, resources={"apart": 2})
        return lambda: self.cluster.remove_node(node, allow_graceful=False)

    #: What puts a worker on that node.
    apart = {"resources": {"apart": 1}}
    full = {"num_cpus": 1000}

    def close(self):
        self.ray.shutdown()
        self.cluster.shutdown()


class OfDask:
    """A Dask of this machine with two workers of its own."""

    kind = "dask"

    def __init__(self):
        distributed = pytest.importorskip("distributed")
        self.cluster = distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, dashboard_address=None, host="127.0.0.1", silence_logs=logging.ERROR
        )
        self.client = distributed.Client(self.cluster)

    def on(self, *arguments, **options):
        return hebbian.on_dask(*arguments, **options)

    def add_node(self):
        command = [sys.executable, "-m", "distributed.cli.dask_worker", self.cluster.scheduler_address]
        command += ["--nthreads", "2", "--no-nanny", "--no-dashboard", "--resources", "apart=2", "--host", "127.0.0.1"]
        node = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        self.client.wait_for_workers(3, timeout=PATIENCE)

        def kill():
            node.kill()
            node.wait()

        return kill

    apart = {"resources": {"apart": 1}}
    full = {"resources": {"nowhere": 1}}

    def close(self):
        self.client.close()
        self.cluster.close()


@pytest.fixture(scope="session", params=[OfRay, OfDask], ids=["ray", "dask"])
def local(request):
    # Not where pytest has its own: Ray's sockets are below it, whose paths must be short.
    with tempfile.TemporaryDirectory(prefix="c-", ignore_cleanup_errors=True) as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(FOLDERS))
        patch.setenv(MARK, CLUSTERS)
        patch.setenv("TMPDIR", folder)
        # It would write a token of its own below the home of whoever runs the tests.
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Else it starts them at low priority, and on a machine that others use for hours.
        patch.setenv("RAY_worker_niceness", "0")
        found = request.param()
        found.temporary = Path(folder)
        yield found
        found.close()


def below():
    """The processes of workers on the clusters: their keepers, and what is Python of these."""
    return [process for process in marked(CLUSTERS) if b"hebbian._" in (process / "cmdline").read_bytes()]


def are_gone():
    try:
        return not below()
    except OSError:
        return False


@pytest.fixture
def on(local):
    """Places workers, all of which leave at the end, with all of their processes and files."""
    placed = []

    def on(*arguments, **options):
        placed.append(local.on(*arguments, **options))
        return placed[-1]

    yield on
    for workers in placed:
        workers.stop()
    until(are_gone)
    until(lambda: not [folder for folder in local.temporary.iterdir() if folder.name.startswith("hebbian-")])


def keepers():
    """The keepers of all workers on the clusters."""
    return [process for process in below() if b"import main; main(" in (process / "cmdline").read_bytes()]


def test_a_search_has_the_bits_of_one_here(on, coordinator):
    expected = hebbian.maximise(objectives.score, evaluations=400, workers=1)
    with on(objectives.score, coordinator=coordinator.address, workers=2) as workers:
        found = hebbian.maximise(objectives.score, evaluations=400, coordinator=coordinator.address)
        attached(workers, 2)
    assert (found.parameters, found.value, found.evaluations) == (expected.parameters, expected.value, expected.evaluations)
    assert workers.working == 0


def test_objectives_of_a_script_are_sent(on, coordinator):
    factor = 3.0
    local = hebbian.objective("local", x=hebbian.real(0.5, deviation=1.0))(lambda x: -((factor * x) ** 2))
    with on(local, coordinator=coordinator.address):
        assert hebbian.maximise(local, evaluations=200, coordinator=coordinator.address).value > -0.01


def test_the_program_computes_rules(on, coordinator):
    with hebbian.Client(coordinator.address) as client, on(coordinator=coordinator.address, workers=2, slots=2, name="rules") as workers:
        attached(workers, 2)
        assert sorted((of.display_name, of.threads, list(of.serves)) for of in client.workers()) == [("rules-1", 2, []), ("rules-2", 2, [])]


def test_who_is_killed_is_replaced(on, local, coordinator, caplog):
    caplog.set_level(logging.INFO, "hebbian")
    with on(objectives.score, coordinator=coordinator.address) as workers:
        attached(workers, 1)
        (keeper,) = keepers()
        holders = [process for process in marked(CLUSTERS) if may_hold(local, process)]
        assert holders
        for holder in holders:
            os.kill(int(holder.name), signal.SIGKILL)
        until(lambda: any("failed: " in message for message in caplog.messages))
        until(lambda: sum("is attached" in message for message in caplog.messages) == 2)
        attached(workers, 1)
        assert [process for process in keepers() if process == keeper] == []
    name = f"worker {local.kind}-1 on "
    told = [message for message in caplog.messages if message.startswith(name)]
    assert [message.split(" on ")[1].split(" ", 1)[1].split(" ")[0].rstrip(":") for message in told] == ["is", "failed", "is", "has"], told


def may_hold(local, process):
    """Whether a process is an actor that holds a worker; of Dask, whether it is one of its workers."""
    try:
        command = (process / "cmdline").read_bytes()
        return command.startswith(b"ray::Holder") if local.kind == "ray" else b"spawn_main" in command
    except OSError:
        return False


def test_the_end_of_a_node_ends_what_it_held(on, local, coordinator, caplog):
    caplog.set_level(logging.INFO, "hebbian")
    remove = local.add_node()
    workers = on(objectives.waits, coordinator=coordinator.address, **local.apart)
    attached(workers, 1)
    assert len(keepers()) == 1
    remove()
    until(are_gone)
    until(lambda: any("failed: " in message for message in caplog.messages))
    # There is no other node that has what it takes, so it waits for one.
    assert workers.working == 0
    remove = local.add_node()
    attached(workers, 1)
    workers.stop()
    remove()


def test_there_are_more_and_fewer(on, coordinator):
    with hebbian.Client(coordinator.address) as client, on(objectives.score, coordinator=coordinator.address, name="mine") as workers:
        attached(workers, 1)
        workers.scale(3)
        attached(workers, 3)
        assert sorted(of.display_name for of in client.workers()) == ["mine-1", "mine-2", "mine-3"]
        workers.scale(1)
        until(lambda: [of.display_name for of in client.workers()] == ["mine-1"])
        until(lambda: len(keepers()) == 1)


def test_stopping_waits_for_what_has_begun(on):
    played = Played()
    workers = on(objectives.waits, coordinator=played.address, grace=60.0)
    stream = played.stream()
    stream.announce(objectives.waits)
    stream.batch([5.0])
    until(lambda: any(b"_evaluate" in (process / "cmdline").read_bytes() for process in below()))
    workers.stop()
    heard = {message.WhichOneof("kind"): message for message in iter(lambda: stream.heard.get(timeout=20), None)}
    assert "leaving" in heard and "give_back" not in heard
    assert heard["report"].report.settlements[0].evaluated.fitness == 5.0
    played.server.stop(0)


def test_those_that_their_coordinator_drains_have_left(on, coordinator):
    workers = on(objectives.score, coordinator=coordinator.address, workers=2)
    attached(workers, 2)
    assert not workers.join(0.0)
    with hebbian.Client(coordinator.address) as client:
        for of in client.workers():
            client.drain(of.id)
    assert workers.join(PATIENCE)
    until(are_gone)


def test_a_token_travels_and_stands_nowhere(on, program, local, tmp_path, capfd, caplog):
    caplog.set_level(logging.DEBUG, "hebbian")
    with Coordinator(tmp_path / "journal") as coordinator:
        admin = create(program, coordinator, tmp_path, "admin", "admin")
        file = create(program, coordinator, tmp_path, "nodes", "worker", admin)
        token = file.read_text().strip()
        workers = on(objectives.score, coordinator=coordinator.address, token_file=file)
        attached(workers, 1)
        for process in marked(CLUSTERS):
            for place in ("cmdline", "environ"):
                assert token.encode() not in (process / place).read_bytes()
        files = [path for path in local.temporary.rglob("*") if path.is_file() and "sock" not in path.name]
        assert [path.name for path in files if token.encode() in path.read_bytes()] == ["token"]
        assert token not in repr(workers)
        workers.stop()
    assert token not in "".join(capfd.readouterr()) + caplog.text


def test_workers_that_fail_are_given_up(on, coordinator, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "only_here.py").write_text(
        "import hebbian\n@hebbian.objective(x=hebbian.real(0.0, deviation=1.0))\ndef score(x):\n    return x\n"
    )
    import only_here

    # What the nodes look for when they are asked to.
    (tmp_path / "only_here.py").write_text("import hebbian_has_no_such_module\n")
    monkeypatch.setattr("hebbian._placed._FAILURES_MAX", 2)
    workers = on(only_here.score, coordinator=coordinator.address)
    with pytest.raises(
        hebbian.HebbianError, match=r"failed 2 times in a row.*objective cannot be loaded on this node: ModuleNotFoundError"
    ):
        workers.join(PATIENCE)
    until(are_gone)


def test_who_finds_no_coordinator_says_so(on, caplog):
    on(objectives.score, coordinator="http://127.0.0.1:1")
    until(lambda: any("not attached to a coordinator: http://127.0.0.1:1: UNAVAILABLE" in message for message in caplog.messages))


def test_who_is_not_started_is_told_and_stops_at_once(on, local, monkeypatch, caplog):
    monkeypatch.setattr("hebbian._placed._PENDING", 0.5)
    workers = on(objectives.score, coordinator="http://127.0.0.1:1", **local.full)
    until(lambda: any("has not been started by " in message for message in caplog.messages))
    start = time.monotonic()
    workers.stop()
    assert time.monotonic() - start < 30


SCRIPT = """
import os, sys, hebbian, objectives
if __name__ == "__main__":
    kind, where, coordinator = sys.argv[1:]
    if kind == "ray":
        import ray
        ray.init(address=where, log_to_driver=False)
    else:
        import distributed
        client = distributed.Client(where)
    workers = getattr(hebbian, "on_" + kind)(objectives.score, coordinator=coordinator, name="script")
    while not workers.working:
        workers.join(0.05)
    print("attached", flush=True)
    sys.stdin.read()
"""


def test_workers_end_with_the_script_that_has_placed_them(local, coordinator, tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    where = local.cluster.address if local.kind == "ray" else local.cluster.scheduler_address
    script = subprocess.Popen(
        [sys.executable, str(path), local.kind, where, coordinator.address], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert script.stdout.readline() == b"attached\n"
    assert keepers()
    script.kill()
    script.wait()
    until(are_gone)
    script.stdin.close()
    script.stdout.close()


def test_what_is_not_an_option_is_refused(local):
    if local.kind == "ray":
        for options, error in (
            ({"max_restarts": 3}, "max_restarts: is not of workers"),
            ({"worker": 3}, "on_ray: Invalid option keyword.*worker"),
            ({"num_cpus": -1}, "on_ray: .*num_cpus"),
        ):
            with pytest.raises(hebbian.InvalidRequest, match=error):
                local.on(objectives.score, **options)
    else:
        with pytest.raises(hebbian.InvalidRequest, match=r"client: must be a distributed.Client that is not asynchronous, not 3"):
            local.on(objectives.score, client=3)


def test_without_a_cluster_it_says_what_to_do(monkeypatch):
    ray, distributed = pytest.importorskip("ray"), pytest.importorskip("distributed")

    def nobody(*arguments, **options):
        raise ConnectionError("Could not find any running Ray instance")

    def nothing():
        raise ValueError("No global client found and no address provided")

    # There may well be a cluster on this machine.
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", nobody)
    monkeypatch.setattr(distributed, "get_client", nothing)
    for on, error in (
        (hebbian.on_ray, r"there is no Ray cluster here: call ray.init\(address\) before, or set RAY_ADDRESS"),
        (hebbian.on_dask, r"there is no Dask client here: make distributed.Client\(address\), or give client="),
    ):
        with pytest.raises(hebbian.HebbianError, match=error):
            on(objectives.score)
