"""Search in noise, at equal evaluations: `hebbian ask-tell` with each of its ways to handle noise, beside pycma.

Every value has normal noise of standard deviation tau f(x0) added. Printed is log10 of f(mean) / f(x0) without noise at
the end, the median over seeds: lower is better. The last rows have no noise: evaluations until 1e-9 in units of
`--noise none`, which is what the automatic handling costs where there is nothing to handle."""

import argparse
import functools

import numpy as np

import search


def rotation(n):
    """A fixed rotation."""
    matrix = np.random.default_rng(n).standard_normal((n, n))
    return np.linalg.qr(matrix)[0]


def ellipsoid(x):
    n = len(x)
    return np.sum(10 ** (3 * np.arange(n) / (n - 1)) * (rotation(n) @ x) ** 2)


FUNCTIONS = {
    "sphere": lambda x: np.sum(x**2),
    "ellipsoid": ellipsoid,
    "rastrigin-like": lambda x: np.sum(x**2 + 10 * (1 - np.cos(2 * np.pi * x))),
}

# Function, n, tau, population, evaluations, |x0| / sqrt n, sigma: the table of the design.
ROWS = [
    ("sphere", 24, 1.0, 64, 24_000, 1.0, 0.5),
    ("sphere", 24, 1.0, 1024, 24_000, 1.0, 0.5),
    ("ellipsoid", 24, 1.0, 64, 24_000, 1.0, 0.5),
    ("rastrigin-like", 24, 0.1, 64, 24_000, 3.0, 1.0),
    ("sphere", 100, 1.0, 512, 30_000, 1.0, 0.5),
]
QUIET_ROWS = [("sphere", 24, 13), ("ellipsoid", 24, 13), ("sphere", 24, 64), ("ellipsoid", 24, 64)]
MODES = ["none", "lra", "auto"]


def noisy(job, program):
    function = FUNCTIONS[job["function"]]
    n, tau, population, budget = job["n"], job["tau"], job["population"], job["evaluations"]
    generator = np.random.default_rng([job["seed"], n, population])
    start = generator.standard_normal(n)
    start *= job["distance"] * np.sqrt(n) / np.linalg.norm(start)
    deviation = tau * function(start)
    count = 0

    def objective(x):
        nonlocal count
        # A last generation that is too long is not begun by ours, and not told by pycma.
        if job["mode"] == "pycma" and count >= budget:
            raise search.Done
        count += 1
        return function(np.asarray(x)) + deviation * generator.standard_normal()

    if job["mode"] == "pycma":
        mean = search.pycma(objective, start, job["sigma"], job["seed"], {"popsize": population}, stops=False).mean
    else:
        flags = ["--noise", job["mode"], "--population-size", str(population), "--no-stop"]
        flags += ["--max-evaluations", str(budget)]
        mean = search.hebbian(program, objective, start, job["sigma"], job["seed"], flags)["mean"]
    return {"job": job, "decades": float(np.log10(function(np.asarray(mean)) / function(start))), "evaluations": count}


def quiet(job, program):
    function, n = FUNCTIONS[job["function"]], job["n"]
    count = 0

    def objective(x):
        nonlocal count
        count += 1
        value = function(np.asarray(x))
        if value < 1e-9 or count >= 1_000_000:
            raise search.Done
        return value

    flags = ["--noise", job["mode"], "--population-size", str(job["population"])]
    search.hebbian(program, objective, np.ones(n), 0.5, job["seed"], flags)
    return {"job": job, "evaluations": count}


def work(job, program):
    return (noisy if job["tau"] > 0 else quiet)(job, program)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=search.numbers, default=list(range(1, len(ROWS) + 1)), metavar="R,..")
    arguments = search.arguments(parser)
    names = ("function", "n", "tau", "population", "evaluations", "distance", "sigma")
    rows = [dict(zip(names, ROWS[row - 1])) for row in arguments.rows]
    quiet_rows = [{**dict(zip(("function", "n", "population"), row)), "tau": 0.0} for row in QUIET_ROWS]
    seeds = range(1, arguments.seeds + 1)
    jobs = [{**row, "mode": mode, "seed": seed} for row in rows for mode in ["pycma", *MODES] for seed in seeds]
    jobs += [{**row, "mode": mode, "seed": seed} for row in quiet_rows for mode in MODES for seed in seeds]
    results = search.run(functools.partial(work, program=arguments.hebbian), jobs, arguments.out, arguments.workers)

    def median(row, mode, key):
        return np.median([r[key] for r in results if {**row, "mode": mode}.items() <= r["job"].items() and key in r])

    print(f"{'':<42} {'pycma':>7}" + "".join(f"{mode:>7}" for mode in MODES))
    for row in rows:
        label = f"{row['function']} {row['n']}, tau {row['tau']:g}, lambda {row['population']}"
        print(f"{label:<42} " + "".join(f"{median(row, mode, 'decades'):>7.2f}" for mode in ["pycma", *MODES]))
    for row in quiet_rows:
        label = f"{row['function']} {row['n']}, no noise, lambda {row['population']}"
        counts = [median(row, mode, "evaluations") for mode in MODES]
        print(f"{label:<42} {'':>7}" + "".join(f"{count / counts[0]:>7.2f}" for count in counts))


if __name__ == "__main__":
    main()
