"""Objectives in Python: evaluations a second through `hebbian.maximise` beside multiprocessing.Pool (chunk size 1), Ray's tasks and
Optuna's gRPC storage, each with two evaluating processes; and the share of their time that evaluations of 10 ms get.

    pip install WHEEL ray optuna grpcio protobuf && python tests/peers/evaluations.py [--seconds 5] [--without ray optuna]

One after the other on one machine, each after a warm-up; prints a line for each, and the ratios.
"""

import argparse
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time

import hebbian

WORKERS = 2
# Candidates of a generation.
TRIVIAL, SHORT = 1024, 64


@hebbian.objective("trivial", x=hebbian.real(0.0, deviation=1.0), y=hebbian.real(0.0, deviation=1.0))
def trivial(x, y):
    return -(x * x) - y * y


@hebbian.objective("short", x=hebbian.real(0.0, deviation=1.0), y=hebbian.real(0.0, deviation=1.0))
def short(x, y):
    end = time.perf_counter() + 0.01
    while time.perf_counter() < end:
        pass
    return -(x * x) - y * y


def of_pair(pair):
    return trivial.function(*pair)


def of_pair_shortly(pair):
    return short.function(*pair)


class Enough(Exception):
    """It was measured for long enough."""


def by_hebbian(objective, size, seconds):
    """Evaluations a second, from the third generation on."""
    marks = []

    def mark(number, figures):
        marks.append((time.perf_counter(), figures["evaluations"]))
        if number >= 4 and marks[-1][0] - marks[2][0] > seconds:
            raise Enough

    # What converges ends by itself; random search does not.
    try:
        hebbian.maximise(
            objective, generations=1_000_000, population_size=size, workers=WORKERS, strategy={"kind": "random-search"}, callbacks=[mark]
        )
    except Enough:
        pass
    (start, before), (end, after) = marks[2], marks[-1]
    return (after - before) / (end - start)


def by_generations(run, size, seconds):
    """Evaluations a second of what evaluates a generation at a time."""
    works = [(place / size, 0.5) for place in range(size)]
    for _ in range(2):
        run(works)
    start, done = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        assert len(run(works)) == size
        done += size
    return done / (time.perf_counter() - start)


def by_pool(function, size, seconds):
    with multiprocessing.get_context("spawn").Pool(WORKERS) as pool:
        return by_generations(lambda works: pool.map(function, works, chunksize=1), size, seconds)


def by_ray(function, size, seconds):
    import ray

    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False, logging_level="error", runtime_env={})
    try:
        task = ray.remote(function)
        return by_generations(lambda works: ray.get([task.remote(work) for work in works]), size, seconds)
    finally:
        ray.shutdown()


def optuna_worker(port, function, seconds, queue):
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.GrpcStorageProxy(host="127.0.0.1", port=port)
    study = optuna.load_study(study_name="peers", storage=storage, sampler=optuna.samplers.RandomSampler())

    def objective(trial):
        return function((trial.suggest_float("x", -1, 1), trial.suggest_float("y", -1, 1)))

    study.optimize(objective, n_trials=2)
    start = time.perf_counter()
    done = 0

    def count(study, trial):
        nonlocal done
        done += 1
        if time.perf_counter() - start > seconds:
            study.stop()

    study.optimize(objective, callbacks=[count])
    queue.put(done / (time.perf_counter() - start))


def by_optuna(function, size, seconds):
    del size
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        code = (
            "import optuna, sys; storage = optuna.storages.get_storage('sqlite:///' + sys.argv[1]);"
            "optuna.create_study(study_name='peers', storage=storage);"
            "optuna.storages.run_grpc_proxy_server(storage, host='127.0.0.1', port=int(sys.argv[2]))"
        )
        path = os.path.join(folder, "peers.sqlite")
        server = subprocess.Popen([sys.executable, "-c", code, path, str(port)], stderr=subprocess.DEVNULL)
        try:
            time.sleep(8)
            context = multiprocessing.get_context("spawn")
            queue = context.Queue()
            workers = [context.Process(target=optuna_worker, args=(port, function, seconds, queue)) for _ in range(WORKERS)]
            for worker in workers:
                worker.start()
            found = [queue.get(timeout=seconds + 120) for _ in workers]
            for worker in workers:
                worker.join()
            return sum(found)
        finally:
            server.kill()
            server.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--without", nargs="*", default=[], choices=["ray", "optuna"])
    arguments = parser.parse_args()
    peers = {
        "multiprocessing.Pool": lambda number: by_pool((of_pair, of_pair_shortly)[number], (TRIVIAL, SHORT)[number], arguments.seconds),
        "hebbian": lambda number: by_hebbian((trivial, short)[number], (TRIVIAL, SHORT)[number], arguments.seconds),
        "ray": lambda number: by_ray((of_pair, of_pair_shortly)[number], (TRIVIAL, SHORT)[number], arguments.seconds),
        "optuna": lambda number: by_optuna((of_pair, of_pair_shortly)[number], 0, arguments.seconds),
    }
    found = {}
    for name, peer in peers.items():
        if name in arguments.without:
            continue
        rate, at_10_ms = peer(0), peer(1)
        found[name] = rate
        print(f"{name:>22}: {rate:10,.0f} evaluations a second; at 10 ms {at_10_ms / (100 * WORKERS):.3f} of the time", flush=True)
    for name, rate in found.items():
        if name != "hebbian":
            print(f"hebbian / {name}: {found['hebbian'] / rate:.2f}")


if __name__ == "__main__":
    main()
