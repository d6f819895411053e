#!/usr/bin/env python3
"""The soak test: hours of trouble in minutes, with real processes. Needs Python 3 and Linux, nothing else.

    cargo build --release && tests/soak/run.py --binary target/release/hebbian

First part: the coordinator lives on while the connections of its workers are cut, 10,000 times by default; its memory and
the workers' must stay flat. Second part: SIGKILL, 500 times by default, to the coordinator (one in five) and to workers.
All the while runs of one spec are created, done and deleted by a retention rule; every genome that comes out must equal,
to the bit, that of the same spec in one undisturbed process. `--reconnects` and `--kills` make it shorter; a part that does
not reach its number in `--minutes` fails. Exit code 0 only if all of it held and every fault has fired.
"""

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

SPEC = """
name = "soak"
seed = 7
strategy = { kind = "cma-es", population_size = 16 }
rule = { states = 2 }
network = { hidden = [3] }
[tasks]
families = ["xor", "half-plane"]
per_generation = 8
batch_size = 4
query_size = 16
[evaluation]
measure = [{ update = "last", weight = 1.0 }]
unroll = [{ generations = 1, updates = 60 }]
[stop]
generations = 300
"""


def say(text):
    print(f"soak: {time.strftime('%H:%M:%S')} {text}", flush=True)


class Proxy(threading.Thread):
    """Passes connections on to the coordinator, and cuts them."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self.listener.getsockname()[1]
        self.target = None
        self.lock = threading.Lock()
        self.open = set()
        self.opened = 0

    def run(self):
        while True:
            near, _ = self.listener.accept()
            threading.Thread(target=self.connect, args=(near,), daemon=True).start()

    def connect(self, near):
        try:
            far = socket.create_connection(("127.0.0.1", self.target), timeout=5)
        except OSError:
            near.close()
            return
        far.settimeout(None)
        pair = (near, far)
        with self.lock:
            self.open.add(pair)
            self.opened += 1
        threads = [threading.Thread(target=self.pump, args=ends, daemon=True) for ends in (pair, pair[::-1])]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with self.lock:
            self.open.discard(pair)
        near.close()
        far.close()

    @staticmethod
    def pump(source, sink):
        try:
            while data := source.recv(1 << 16):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self, share):
        """Cuts some of the connections; how many."""
        with self.lock:
            victims = [pair for pair in self.open if random.random() < share]
        for pair in victims:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass
        return len(victims)


class Cluster:
    def __init__(self, binary, place, workers):
        self.binary, self.place, self.count = binary, place, workers
        self.proxy = Proxy()
        self.proxy.start()
        self.workers = {}
        self.coordinator = None
        self.port = 0
        self.finished, self.created, self.run = 0, 0, None
        self.expected = None

    def command(self, *arguments):
        return [self.binary, *arguments]

    def client(self, *arguments):
        url = f"http://127.0.0.1:{self.port}"
        command = self.command(*arguments, "--coordinator", url, "--timeout", "20s")
        return subprocess.run(command, cwd=self.place, capture_output=True, text=True, check=False, timeout=60)

    def start_coordinator(self):
        address = self.place / "address"
        address.unlink(missing_ok=True)
        log = open(self.place / "coordinator.log", "a", encoding="utf-8")
        self.coordinator = subprocess.Popen(
            self.command("coordinator", "--config", "coordinator.toml", "--listen", f"127.0.0.1:{self.port}",
                         "--storage", "sqlite:journal.sqlite", "--address-file", "address", "--log", "warn"),
            cwd=self.place, stdout=subprocess.DEVNULL, stderr=log)
        deadline = time.monotonic() + 60
        while not address.exists():
            if self.coordinator.poll() is not None or time.monotonic() > deadline:
                sys.exit("soak: FAILED: the coordinator did not start; see " + str(self.place / "coordinator.log"))
            time.sleep(0.02)
        self.port = int(address.read_text().strip().rsplit(":", 1)[1])
        self.proxy.target = self.port

    def start_worker(self, name):
        log = open(self.place / "workers.log", "a", encoding="utf-8")
        self.workers[name] = subprocess.Popen(
            self.command("worker", "--coordinator", f"http://127.0.0.1:{self.proxy.port}", "--threads", "1",
                         "--name", name, "--log", "error"),
            cwd=self.place, stdout=subprocess.DEVNULL, stderr=log)

    def undisturbed(self):
        process = subprocess.Popen(self.command("run", "spec.toml", "--out", "alone"), cwd=self.place,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        genome = self.place / "alone/genome.json"
        # Written when the search has ended; the comparison after it is not wanted.
        while not genome.exists():
            if process.poll() not in (None, 0):
                sys.exit("soak: FAILED: the undisturbed run failed")
            time.sleep(0.1)
        process.kill()
        process.wait()
        self.expected = json.loads(genome.read_text())["values"]

    def keep_busy(self):
        """Creates the next run when the last one has finished, whose genome is compared."""
        if self.run is None:
            self.created += 1
            made = self.client("create", "spec.toml", "--request-id", f"soak-{self.created}", "--json")
            if made.returncode != 0:
                # The coordinator is down at the moment; the same request again.
                self.created -= 1
                return
            self.run = json.loads(made.stdout)["name"]
            return
        status = self.client("status", self.run, "--json")
        if status.returncode != 0:
            return
        status = json.loads(status.stdout)
        if status["state"]["kind"] == "paused":
            sys.exit(f"soak: FAILED: run {self.run} paused: {status['state']['paused']['reason']}")
        if status["state"]["kind"] == "finished":
            result = self.client("result", self.run)
            if result.returncode != 0:
                return
            if json.loads(result.stdout)["values"] != self.expected:
                sys.exit(f"soak: FAILED: run {self.run} has another genome than the undisturbed one")
            self.finished += 1
            self.run = None

    def memory(self):
        """Resident kilobytes of the coordinator and, on average, of a worker."""
        def of(process):
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
            except OSError:
                return None
            rows = [line for line in status.splitlines() if line.startswith("VmRSS")]
            return int(rows[0].split()[1]) if rows else None
        workers = [size for size in map(of, self.workers.values()) if size]
        return of(self.coordinator), sum(workers) / max(len(workers), 1)

    def stop(self):
        for process in [self.coordinator, *self.workers.values()]:
            process.send_signal(signal.SIGTERM)
        for process in [self.coordinator, *self.workers.values()]:
            process.wait(30)


def flat(what, samples):
    """Whether a memory does not grow: the last quarter of the samples beside the second."""
    if len(samples) < 8:
        sys.exit(f"soak: FAILED: only {len(samples)} samples of the {what}'s memory; make it longer")
    quarter = len(samples) // 4
    early = sum(samples[quarter:2 * quarter]) / quarter
    late = sum(samples[-quarter:]) / quarter
    say(f"resident memory of the {what}: {early / 1024:.1f} MB, later {late / 1024:.1f} MB")
    if late > 1.15 * early + 2048:
        sys.exit(f"soak: FAILED: the {what}'s memory grows")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", default="target/release/hebbian")
    parser.add_argument("--reconnects", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--minutes", type=float, default=60, help="the most for each part")
    arguments = parser.parse_args()
    binary = str(Path(arguments.binary).resolve())
    for name in list(os.environ):
        if name.startswith("HEBBIAN"):
            del os.environ[name]
    place = Path(tempfile.mkdtemp(prefix="hebbian-soak-"))
    (place / "spec.toml").write_text(SPEC)
    (place / "coordinator.toml").write_text("[retention]\nkeep_runs = 2\n")
    cluster = Cluster(binary, place, arguments.workers)
    started = time.monotonic()
    say("the undisturbed run")
    cluster.undisturbed()
    cluster.start_coordinator()
    for number in range(arguments.workers):
        cluster.start_worker(f"w{number}")
    try:
        # First part: connections.
        cuts, coordinator, workers, sampled, told = 0, [], [], 0.0, 0
        first = time.monotonic()
        while cluster.proxy.opened < arguments.reconnects + arguments.workers:
            if time.monotonic() - first > 60 * arguments.minutes:
                sys.exit(f"soak: FAILED: only {cluster.proxy.opened} connections in time")
            cuts += cluster.proxy.cut(0.5)
            cluster.keep_busy()
            if time.monotonic() - sampled > 2:
                sampled = time.monotonic()
                sizes = cluster.memory()
                coordinator.append(sizes[0])
                workers.append(sizes[1])
            if cluster.proxy.opened >= told + 1000:
                told = cluster.proxy.opened
                say(f"{told} connections, {cuts} cut, {cluster.finished} runs finished")
            time.sleep(0.1)
        if cluster.coordinator.poll() is not None or any(w.poll() is not None for w in cluster.workers.values()):
            sys.exit("soak: FAILED: a process ended by itself")
        say(f"{cluster.proxy.opened} connections, {cuts} cut, {cluster.finished} runs finished to the same genome")
        if cuts < arguments.reconnects / 2 or cluster.finished < 1:
            sys.exit("soak: FAILED: too little has happened")
        flat("coordinator", coordinator)
        flat("workers", workers)
        # Second part: processes.
        killed, before = {"coordinator": 0, "worker": 0}, cluster.finished
        first = time.monotonic()
        while sum(killed.values()) < arguments.kills:
            if time.monotonic() - first > 60 * arguments.minutes:
                sys.exit(f"soak: FAILED: only {killed} kills in time")
            if random.random() < 0.2:
                cluster.coordinator.kill()
                if cluster.coordinator.wait() != -signal.SIGKILL:
                    sys.exit("soak: FAILED: the coordinator ended before it was killed")
                killed["coordinator"] += 1
                cluster.start_coordinator()
            else:
                name = random.choice(list(cluster.workers))
                cluster.workers[name].kill()
                if cluster.workers[name].wait() != -signal.SIGKILL:
                    sys.exit(f"soak: FAILED: worker {name} ended before it was killed")
                killed["worker"] += 1
                cluster.start_worker(name)
            cluster.keep_busy()
            if sum(killed.values()) % 100 == 0:
                say(f"{killed} killed, {cluster.finished - before} runs finished")
            time.sleep(random.random() * 0.6)
        if killed["coordinator"] == 0:
            sys.exit("soak: FAILED: the coordinator was never killed")
        done = cluster.finished
        while cluster.finished < done + 1:
            if time.monotonic() - first > 120 * arguments.minutes:
                sys.exit("soak: FAILED: no run ends any more")
            cluster.keep_busy()
            time.sleep(0.2)
        say(f"{killed} killed, {cluster.finished - before} runs finished to the same genome")
        cluster.stop()
        verified = subprocess.run([binary, "journal", "verify", "journal.sqlite"], cwd=place, check=False,
                                  capture_output=True, text=True)
        if verified.returncode != 0:
            sys.exit(f"soak: FAILED: the journal is not sound: {verified.stdout}{verified.stderr}")
        size = (place / "journal.sqlite").stat().st_size
        say(f"passed in {(time.monotonic() - started) / 60:.0f} minutes: {cluster.proxy.opened} connections, {killed} killed, "
            f"{cluster.finished} runs; the journal is sound and of {size // 1024} kB")
        shutil.rmtree(place)
    finally:
        for process in [cluster.coordinator, *cluster.workers.values()]:
            if process and process.poll() is None:
                process.kill()


main()
