"""Hands out episodes with multiprocessing.Pool and Ray: the grid of `cargo bench -p hebbian-tests --bench dispatch`.

Two worker processes, genomes of 68 numbers, episodes that cost nothing or spin by the wall clock. Prints a line of JSON for
each figure, or with `--ours FILE` (what the bench printed with --json) a table of both.
"""

import argparse
import array
import json
import multiprocessing
import os
import random
import signal
import statistics
import sys
import time

GENOME = 68
WORKERS = 2


def episode(work):
    """The fitness of a genome, after some seconds of spinning."""
    genome, spin = work
    if spin:
        end = time.perf_counter() + spin
        while time.perf_counter() < end:
            pass
    return -sum(x * x for x in array.array("d", genome))


def batch(works):
    return [episode(work) for work in works]


def sleep_and_tell(seconds):
    """Tells which process it is in, after a sleep."""
    time.sleep(seconds)
    return os.getpid()


def population(size, spin):
    """Genomes as bytes, as hebbian sends them. Drawn before the clock runs."""
    return [(array.array("d", (random.gauss(0, 1) for _ in range(GENOME))).tobytes(), spin) for _ in range(size)]


class Pool:
    name = "multiprocessing.Pool"

    def __init__(self):
        self.pool = multiprocessing.Pool(WORKERS)

    def generation(self, works, chunk):
        return self.pool.map(episode, works, chunksize=chunk)

    def kill_one(self):
        """Kills one of two workers that each hold half of 64 episodes of 100 ms; the seconds lost, or none if it hangs."""
        victim = self.pool._pool[0].pid
        result = self.pool.map_async(sleep_and_tell, [0.1] * 64, chunksize=1)
        time.sleep(0.5)
        start = time.perf_counter() - 0.5
        os.kill(victim, signal.SIGKILL)
        try:
            result.get(timeout=20)
        except multiprocessing.TimeoutError:
            return None
        return time.perf_counter() - start - 3.2

    def close(self):
        self.pool.terminate()


class Ray:
    name = "Ray tasks"

    def __init__(self):
        import ray

        self.ray = ray
        ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="error")
        self.batch = ray.remote(batch)
        self.sleep = ray.remote(sleep_and_tell).options(max_retries=5)
        ray.get([self.sleep.remote(0.2) for _ in range(WORKERS)])

    def generation(self, works, chunk):
        parts = [works[first : first + chunk] for first in range(0, len(works), chunk)]
        done = self.ray.get([self.batch.remote(part) for part in parts])
        return [fitness for part in done for fitness in part]

    def kill_one(self):
        victim = self.ray.get(self.sleep.remote(0.01))
        tasks = [self.sleep.remote(0.1) for _ in range(64)]
        time.sleep(0.5)
        start = time.perf_counter() - 0.5
        os.kill(victim, signal.SIGKILL)
        try:
            self.ray.get(tasks, timeout=20)
        except self.ray.exceptions.RayError:
            return None
        return time.perf_counter() - start - 3.2

    def close(self):
        self.ray.shutdown()


def times(peer, size, spin, chunk, generations, skipped=3):
    works = population(size, spin)
    found = []
    for index in range(generations + skipped):
        start = time.perf_counter()
        assert len(peer.generation(works, chunk)) == size
        if index >= skipped:
            found.append(time.perf_counter() - start)
    return found


def measure(peer):
    """Yields the case, the figure and its value."""
    for case, chunk in (("overhead-each", 1), ("overhead-batched", 32)):
        found = sorted(times(peer, 64, 0, chunk, 150))
        yield case, "a generation of 64 episodes, median", statistics.median(found) * 1e3, "ms"
        yield case, "a generation of 64 episodes, p99", found[int(0.99 * len(found))] * 1e3, "ms"
    found = times(peer, 1024, 0, 256, 60)
    yield "throughput", "episodes settled, population 1024", 1.024 / statistics.mean(found), "thousand/s"
    for milliseconds in (1, 10, 100):
        ideal = milliseconds * 64 / WORKERS / 1e3
        found = times(peer, 64, milliseconds / 1e3, 1, max(2, int(3 / ideal)), skipped=1)
        share = ideal / statistics.mean(found)
        yield f"efficiency-{milliseconds}ms", "share of two workers' time, one a message", share, ""
    lost = peer.kill_one()
    yield "kill", "seconds lost to a killed worker (none: it hangs or fails)", lost, "s"


def table(ours, lines):
    rows = {}
    names = ["hebbian"] + [peer.name for peer in (Pool, Ray)]
    for line in ours + lines:
        rows.setdefault((line["case"], line["figure"]), {})[line.get("peer", "hebbian")] = line["value"]
    print(f"{'case':<18} {'figure':<60} " + " ".join(f"{name:>20}" for name in names))
    for (case, what), values in rows.items():
        if len(values) > 1 or case == "kill":
            shown = [values.get(name, "-") for name in names]
            cells = [f"{value:>20.3f}" if isinstance(value, float) else f"{value or 'hangs':>20}" for value in shown]
            print(f"{case:<18} {what:<60} " + " ".join(cells))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ours", help="what the bench printed with --json")
    parser.add_argument("--peer", choices=["pool", "ray"], help="one of them alone")
    arguments = parser.parse_args()
    lines = []
    for key, kind in (("pool", Pool), ("ray", Ray)):
        if arguments.peer not in (None, key):
            continue
        peer = kind()
        for case, what, value, unit in measure(peer):
            line = {"peer": peer.name, "case": case, "figure": what, "value": value, "unit": unit}
            lines.append(line)
            if not arguments.ours:
                print(json.dumps(line), flush=True)
        peer.close()
    if arguments.ours:
        with open(arguments.ours, encoding="utf-8") as file:
            table([json.loads(line) for line in file if line.startswith("{")], lines)


if __name__ == "__main__":
    sys.exit(main())
