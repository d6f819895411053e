"""Eight workers in Python, one killed every second for a minute, two hanging, an objective that fails for a tenth of its (candidate, seed)
pairs and gives NaN for another tenth: the same bits as undisturbed, nothing lost, and each trouble told by its name.

    PYTHONPATH=python HEBBIAN_BINARY=target/debug/hebbian python tests/slow/evaluators.py [SECONDS]
"""

import hashlib
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import hebbian
from hebbian import _session
from hebbian.local import Coordinator

WORKERS, HANGING = 8, 2
CANDIDATES, EVALUATIONS = 32, 2
EVALUATION = 0.05
# On a machine that is busy with other things an evaluation may take a hundred times as long, which is no trouble.
TIME_LIMIT = 120.0
# Of those that hang on purpose: the first has that time, too, and others do what it holds; the second is ended, in every evaluation.
TIME_LIMITS_HANGING = [TIME_LIMIT, 0.1]
# Six workers take longer than `SECONDS` for so many generations, so the kills last as long as they should.
GENERATIONS_A_SECOND = (WORKERS - HANGING) / (CANDIDATES * EVALUATIONS * EVALUATION)
MARK = f"HEBBIAN_TEST_MARK={uuid.uuid4().hex}"


@hebbian.objective(
    "disturbed",
    x=hebbian.real(0.0, deviation=1.0, length=5),
    n=hebbian.integer(0, 9),
    evaluations=EVALUATIONS,
    time_limit=TIME_LIMIT,
)
def disturbed(x, n, seed):
    """Fails, gives NaN or a value, by candidate and seed alone; hangs where the environment says so."""
    if "HANGS" in os.environ:
        time.sleep(1000)
    time.sleep(EVALUATION)
    number = hashlib.sha256(struct.pack("<5dqq", *x, n, seed)).digest()[0] / 256
    if number < 0.1:
        raise hebbian.Failed("one of ten")
    return float("nan") if number < 0.2 else -float(((x - 1) ** 2).sum()) - 0.1 * (n - 4) ** 2 + 0.01 * (number - 0.5)


class Workers:
    """Workers as processes, all of which end with the block, however it ends."""

    def __init__(self, address, hanging):
        self._address, self._hanging = address, hanging
        self._log = tempfile.TemporaryFile()  # noqa: SIM115
        self._processes = [self._started(place) for place in range(WORKERS)]

    def _started(self, place):
        name, value = MARK.split("=")
        environment = {**os.environ, name: value, **({"HANGS": str(place)} if place < self._hanging else {})}
        command = [sys.executable, __file__, "work", self._address, f"worker-{place}"]
        # At the end of its standard input it ends: when this process is killed, too.
        return subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stderr=self._log)

    def kill(self, place):
        """Kills one, and starts another in its place."""
        process = self._processes[place]
        assert process.poll() is None, f"worker-{place} ended by itself with {process.returncode}"
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        self._processes[place] = self._started(place)

    def log(self):
        """What all of them have written."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
            process.stdin.close()
        # Their evaluating processes notice that they are alone.
        until = time.monotonic() + 30
        while (left := marked()) and time.monotonic() < until:
            time.sleep(0.1)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left, f"evaluating processes that outlived their worker by 30 s: {left}"


def marked():
    """The processes that were started by this one's workers, and they themselves."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if MARK.encode() in environment.read_bytes():
                found.append(int(environment.parent.name))
        except OSError:
            pass
    return found


class Killer:
    """Kills a worker that does not hang every second, so many in all: one that is attached, as others are about to come."""

    def __init__(self, client, workers, kills):
        self._client, self._workers, self._kills = client, workers, kills
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.killed, self.trouble = [], None

    def _run(self):
        draw = random.Random(1)
        try:
            while len(self.killed) < self._kills and not self._over.wait(1.0):
                attached = {worker.display_name for worker in self._client.workers()}
                places = [place for place in range(HANGING, WORKERS) if f"worker-{place}" in attached]
                if places:
                    place = draw.choice(places)
                    self._workers.kill(place)
                    self.killed.append(f"worker-{place}")
        except Exception as error:
            self.trouble = error

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()


class Troubles:
    """What the coordinator tells of its workers while a run goes on."""

    def __init__(self, client, run):
        self._client, self._run_of = client, run
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        # Of the notes the run keeps the last ones; all as keys, in their order.
        self.reasons, self.errors, self.silent, self.notes = {}, {}, {}, {}

    def _run(self):
        while not self._over.wait(0.5):
            self._look()

    def _look(self):
        for worker in self._client.workers():
            # So many times others finished first what it held, in a row.
            if worker.overtaken and not worker.proven:
                self.silent[worker.display_name] = max(worker.overtaken, self.silent.get(worker.display_name, 0))
            if worker.errors:
                self.errors[worker.display_name] = max(worker.errors, self.errors.get(worker.display_name, 0))
            for why in worker.ineligible:
                self.reasons[worker.display_name] = why.reason
        self.notes.update(dict.fromkeys(self._run_of.status().notes))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        self._look()


def searched(seconds, disturb):
    """The generations' digests with what was counted in them, and the result; besides whom it killed, what was told, and the workers' log."""
    generations = int(seconds * GENERATIONS_A_SECOND)
    with (
        Coordinator() as coordinator,
        hebbian.Client(coordinator.address) as client,
        Workers(coordinator.address, HANGING if disturb else 0) as workers,
    ):
        run = client.create(disturbed.spec("maximise", generations=generations, population_size=CANDIDATES))
        start = time.monotonic()
        with Troubles(client, run) as troubles, Killer(client, workers, seconds if disturb else 0) as killer:
            result = run.wait()
        took = time.monotonic() - start
        if killer.trouble is not None:
            raise killer.trouble
        closed = list(run.generations())
        log = workers.log()
    how = "disturbed" if disturb else "undisturbed"
    print(f"{how}: {len(closed)} generations in {took:.1f} s, {len(killer.killed)} workers killed")
    print(f"  never answered: {troubles.silent}; errors: {troubles.errors}; no more work: {troubles.reasons}")
    for note in troubles.notes:
        print("  note:", note)
    sys.stdout.flush()
    assert len(closed) == generations
    return [(of.state_digest.hex(), of.episodes, of.diverged) for of in closed], list(result.mean), killer.killed, troubles, log


def main(seconds):
    expected, mean, _, _, _ = searched(seconds, False)
    found, found_mean, killed, troubles, log = searched(seconds, True)
    assert (found, found_mean) == (expected, mean), "the bits differ, or evaluations were lost or counted twice"
    assert found[-1][1] >= len(found) * CANDIDATES * EVALUATIONS
    # Each trouble by its name: killed workers, the two that hang, and the two ways to fail.
    assert len(killed) > seconds / 2, f"only {len(killed)} workers were killed before the end"
    told = [name for name in set(killed) if any(f"worker {name} was lost in generation" in note for note in troubles.notes)]
    # One that held nothing leaves nobody waiting.
    assert len(told) > len(set(killed)) / 2, f"{killed} were killed, {told} told"
    assert any("workers are attached that have never answered" in note for note in troubles.notes)
    assert "worker-0" in troubles.silent and "worker-0" not in troubles.errors
    assert "worker-1" in troubles.silent or "worker-1" in troubles.errors
    assert set(troubles.errors) | set(troubles.reasons) <= {"worker-1"}, "somebody else had errors"
    assert any("candidates of generation 0 failed" in note for note in troubles.notes)
    for why in ("one of ten", "the value is nan"):
        assert f"the objective failed: {why}" in log, f"no log has `{why}`"
    failed = sum(diverged for _, _, diverged in found)
    print(f"passed: the same bits in {len(found)} generations and in the result; {found[-1][1]} evaluations, {failed} failed candidates")


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
        if "HANGS" in os.environ:
            limit = TIME_LIMITS_HANGING[int(os.environ["HANGS"])]
            job = _session.Job
            _session.Job = lambda fixed, _: job(fixed, limit)
        hebbian.work(disturbed, coordinator=sys.argv[2], workers=1, name=sys.argv[3])
        sys.exit()
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
