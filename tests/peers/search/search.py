"""What the comparisons share: `hebbian ask-tell` as an iterator, pycma in the same shape, jobs on several cores, a file of
JSON lines that an interrupted comparison goes on from."""

import json
import multiprocessing
import os
import pathlib
import subprocess
import warnings

warnings.filterwarnings("ignore")
# One thread per process: the comparison uses the cores.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

ROOT = pathlib.Path(__file__).resolve().parents[3]


class Done(Exception):
    """Raised by an objective to end a search: solved, or out of evaluations."""


def hebbian(program, objective, mean, sigma, seed, flags=()):
    """Minimises with our search until it stops or the objective raises `Done`; the stop line, or None after `Done`."""
    # A mean of many coordinates is too long for an argument of some systems; ours are not.
    command = [program, "ask-tell", "--mean", json.dumps(list(mean)), "--sigma", repr(sigma), "--seed", str(seed), *flags]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as search:
        try:
            for line in search.stdout:
                message = json.loads(line)
                if "stop" in message:
                    return message
                fitness = [-float(objective(x)) for x in message["candidates"]]
                search.stdin.write(json.dumps({"fitness": fitness}).encode() + b"\n")
                search.stdin.flush()
        except Done:
            search.stdin.close()
            search.stdout.read()
            return None
    raise RuntimeError(f"{' '.join(command[:2])} ended with {search.returncode}")


def pycma(objective, mean, sigma, seed, options=(), stops=True):
    """Minimises with pycma likewise; the strategy."""
    import cma

    options = {"seed": seed + 1, "verbose": -9, "verb_log": 0, "verb_disp": 0, **dict(options)}
    search = cma.CMAEvolutionStrategy(mean, sigma, options)
    try:
        while not (stops and search.stop()):
            candidates = search.ask()
            search.tell(candidates, [float(objective(x)) for x in candidates])
    except Done:
        pass
    return search


def run(work, jobs, path, workers):
    """All results of `jobs` (dictionaries), those in the file `path` included; each new one is added to it at once."""
    path = pathlib.Path(path)
    results = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    done = {json.dumps(result["job"], sort_keys=True) for result in results}
    wanted = {json.dumps(job, sort_keys=True) for job in jobs}
    results = [result for result in results if json.dumps(result["job"], sort_keys=True) in wanted]
    left = [job for job in jobs if json.dumps(job, sort_keys=True) not in done]
    with path.open("a") as file, multiprocessing.Pool(workers) as pool:
        for number, result in enumerate(pool.imap_unordered(work, left), 1):
            file.write(json.dumps(result) + "\n")
            file.flush()
            results.append(result)
            print(f"\r{number}/{len(left)}", end="", flush=True)
    print("\r", end="")
    return results


def arguments(parser):
    """The flags that every comparison has, parsed."""
    parser.add_argument("--hebbian", default=str(ROOT / "target/release/hebbian"), help="the program to measure")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes at a time")
    parser.add_argument("--out", required=True, help="JSON lines: results, and where to go on from")
    parsed = parser.parse_args()
    if not pathlib.Path(parsed.hebbian).exists():
        parser.error(f"--hebbian: there is no {parsed.hebbian}; `cargo build --release` makes it")
    return parsed


def numbers(text):
    """`1,3-5` is [1, 3, 4, 5]."""
    parts = [part.split("-") for part in text.split(",")]
    return [number for part in parts for number in range(int(part[0]), int(part[-1]) + 1)]
