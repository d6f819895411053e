"""Eight workers in Python, one killed every second for a minute, two hanging, an objective that fails for a tenth of its (candidate, seed)
pairs and gives NaN for another tenth: the same bits as undisturbed.

    PYTHONPATH=python HEBBIAN_BINARY=target/debug/hebbian python tests/slow/evaluators.py [SECONDS]
"""

import hashlib
import os
import random
import signal
import struct
import subprocess
import sys
import threading
import time

import hebbian
from hebbian.local import Coordinator

WORKERS, HANGING = 8, 2


@hebbian.objective("disturbed", x=hebbian.real(0.0, deviation=1.0, length=5), n=hebbian.integer(0, 9), evaluations=2, time_limit=2.0)
def disturbed(x, n, seed):
    """Fails, gives NaN or a value, by candidate and seed alone; hangs where the environment says so."""
    if "HANGS" in os.environ:
        time.sleep(1000)
    time.sleep(0.02)
    number = hashlib.sha256(struct.pack("<5dqq", *x, n, seed)).digest()[0] / 256
    if number < 0.1:
        raise hebbian.Failed("one of ten")
    return float("nan") if number < 0.2 else -float(((x - 1) ** 2).sum()) - 0.1 * (n - 4) ** 2 + 0.01 * (number - 0.5)


def worker(address, place, hangs):
    environment = {**os.environ, **({"HANGS": "1"} if hangs else {})}
    return subprocess.Popen([sys.executable, __file__, "work", address, f"worker-{place}"], env=environment, stderr=subprocess.DEVNULL)


def searched(seconds, disturb):
    with Coordinator() as coordinator, hebbian.Client(coordinator.address) as client:
        workers = [worker(coordinator.address, place, disturb and place < HANGING) for place in range(WORKERS)]
        run = client.create(disturbed.spec("maximise", generations=int(seconds * 3), population_size=32))
        over = threading.Event()
        killed = 0

        def trouble():
            nonlocal killed
            draw = random.Random(1)
            end = time.monotonic() + seconds
            while not over.wait(1.0) and time.monotonic() < end:
                place = draw.randrange(HANGING, WORKERS)
                workers[place].send_signal(signal.SIGKILL)
                workers[place].wait()
                workers[place] = worker(coordinator.address, place, False)
                killed += 1

        thread = threading.Thread(target=trouble)
        if disturb:
            thread.start()
        start = time.monotonic()
        result = run.wait()
        took = time.monotonic() - start
        over.set()
        if disturb:
            thread.join()
        errors = {of.display_name: [why.reason for why in of.ineligible] for of in client.workers() if of.errors}
        notes = [note for note in run.status().notes if "worker" in note]
        for process in workers:
            process.kill()
            process.wait()
        digests = [generation.state_digest.hex() for generation in run.generations()]
    how = "disturbed" if disturb else "undisturbed"
    print(f"{how}: {len(digests)} generations in {took:.1f} s, {killed} workers killed; workers with errors: {errors}", flush=True)
    for note in notes[-4:]:
        print("  note:", note)
    return digests, list(result.mean)


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        hebbian.work(disturbed, coordinator=sys.argv[2], workers=1, name=sys.argv[3])
        sys.exit()
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    expected, found = searched(seconds, False), searched(seconds, True)
    assert found == expected, "the bits differ"
    print(f"passed: the same bits in {len(found[0])} generations and in the result")
