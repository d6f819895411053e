"""Classic functions: median evaluations of `hebbian ask-tell` until a sample is below 1e-9, beside pycma's.

Start (1, .., 1) with sigma 1; Rosenbrock's from 0 with sigma .5. pycma's medians are those that the project measured once
(pycma 4.5); `--pycma` measures them again."""

import argparse
import functools

import numpy as np

import search


def exponents(n, top):
    return top * np.arange(n) / (n - 1)


def rosenbrock(x):
    return np.sum(100 * (x[:-1] ** 2 - x[1:]) ** 2 + (x[:-1] - 1) ** 2)


FUNCTIONS = {
    "sphere": lambda x: np.sum(x**2),
    "ellipsoid": lambda x: np.sum(10 ** exponents(len(x), 6) * x**2),
    "rosenbrock": rosenbrock,
    "discus": lambda x: 1e6 * x[0] ** 2 + np.sum(x[1:] ** 2),
    "cigar": lambda x: x[0] ** 2 + 1e6 * np.sum(x[1:] ** 2),
    "different-powers": lambda x: np.sum(np.abs(x) ** (2 + exponents(len(x), 10))),
}

PYCMA = {
    "sphere": {10: 1505, 40: 5330, 100: 12358},
    "ellipsoid": {10: 4064, 40: 48334, 100: 300882},
    "rosenbrock": {10: 4804, 40: 60324, 100: 395850},
    "discus": {10: 3066, 40: 20698, 100: 87535},
    "cigar": {10: 4090, 40: 16349, 100: 37446},
    "different-powers": {10: 1727, 40: 18087, 100: 94755},
}


def solve(job, program):
    """Evaluations until the target; None if the search ends before."""
    function, n = FUNCTIONS[job["function"]], job["dimension"]
    count, solved = 0, False

    def objective(x):
        nonlocal count, solved
        count += 1
        value = function(np.asarray(x))
        if value < 1e-9:
            solved = True
            raise search.Done
        if count >= 2_000_000:
            raise search.Done
        return value

    mean, sigma = (np.zeros(n), 0.5) if job["function"] == "rosenbrock" else (np.ones(n), 1.0)
    if job["engine"] == "hebbian":
        search.hebbian(program, objective, mean, sigma, job["seed"], job["flags"].split())
    else:
        search.pycma(objective, mean, sigma, job["seed"])
    return {"job": job, "evaluations": count if solved else None}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimensions", type=search.numbers, default=[10, 40], metavar="N,..")
    parser.add_argument("--functions", nargs="+", choices=list(FUNCTIONS), default=list(FUNCTIONS))
    parser.add_argument("--seeds", type=int, default=15)
    parser.add_argument("--flags", default="", help="more flags of ask-tell, such as '--noise none'")
    parser.add_argument("--pycma", action="store_true", help="measure pycma again")
    arguments = search.arguments(parser)
    engines = ["hebbian", "pycma"] if arguments.pycma else ["hebbian"]
    jobs = [
        {"dimension": n, "function": function, "seed": seed, "engine": engine,
         "flags": arguments.flags if engine == "hebbian" else ""}
        for n in sorted(arguments.dimensions, reverse=True)
        for function in arguments.functions
        for seed in range(1, arguments.seeds + 1)
        for engine in engines
    ]
    results = search.run(functools.partial(solve, program=arguments.hebbian), jobs, arguments.out, arguments.workers)

    def median(n, function, engine):
        """Over the seeds that reach the target, and how many those are."""
        job = {"dimension": n, "function": function, "engine": engine}
        counts = [r["evaluations"] for r in results if job.items() <= r["job"].items() and r["evaluations"]]
        return (np.median(counts) if counts else np.inf), len(counts)

    print(f"{'n':>4} {'function':<17} {'solved':>7} {'ours':>8} {'pycma':>8} ratio")
    for n in arguments.dimensions:
        for function in arguments.functions:
            ours, solved = median(n, function, "hebbian")
            theirs = median(n, function, "pycma")[0] if arguments.pycma else PYCMA[function].get(n, np.nan)
            print(f"{n:>4} {function:<17} {solved:>3}/{arguments.seeds:<3} {ours:>8.0f} {theirs:>8.0f} {ours / theirs:.3f}")


if __name__ == "__main__":
    main()
