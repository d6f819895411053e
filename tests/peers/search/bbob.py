"""COCO's bbob: 24 functions, ours through `hebbian ask-tell` against pycma on the same instances from the same points.

x0 uniform in [-4, 4]^D, sigma 2, target 1e-8, 1e4 D evaluations, no restarts (or BIPOP within the same budget). Prints,
for each dimension, the instances that each solves and the geometric mean over functions of the ratio of expected running
times (ERT: all evaluations over solved instances), ours over pycma's, where both solve some, with a 95 % bootstrap
interval (functions, and within each the paired instances, drawn again)."""

import argparse
import functools
import zlib

import numpy as np

import search


def solve(job, engine, program):
    """Evaluations and whether the target was hit."""
    import cocoex

    dimension, function, instance = job["dimension"], job["function"], job["instance"]
    suite = cocoex.Suite("bbob", f"instances:{instance}", f"dimensions:{dimension} function_indices:{function}")
    problem = suite[0]
    budget = int(job["budget"] * dimension)
    generator = np.random.default_rng([dimension, function, instance, job["seed"]])
    mean = generator.uniform(-4, 4, dimension)
    seed = zlib.crc32(repr(sorted(job.items())).encode())

    def objective(x):
        if problem.evaluations >= budget:
            raise search.Done
        value = problem(x)
        if problem.final_target_hit:
            raise search.Done
        return value

    if engine == "hebbian":
        flags = [*job["flags"].split(), "--restarts", job["restarts"], "--max-evaluations", str(budget)]
        end = search.hebbian(program, objective, mean, 2.0, seed, flags)
        stop = end["stop"] if end else None
    elif job["restarts"] == "none":
        stop = list(search.pycma(objective, mean, 2.0, seed).stop())
    else:
        import cma

        options = {"seed": seed + 1, "verbose": -9, "verb_log": 0, "verb_disp": 0, "maxfevals": budget}
        try:
            # As pycma is used on bbob: every restart from a new uniform point.
            cma.fmin2(objective, lambda: generator.uniform(-4, 4, dimension), 2.0, options, restarts=99, bipop=True)
        except search.Done:
            pass
        stop = None
    return {"evaluations": problem.evaluations, "solved": bool(problem.final_target_hit), "stop": stop}


def pair(job, program):
    return {"job": job, **{engine: solve(job, engine, program) for engine in ("hebbian", "pycma")}}


def ert(results):
    """Expected running time; infinite if nothing is solved."""
    solved = sum(result["solved"] for result in results)
    return sum(result["evaluations"] for result in results) / solved if solved else np.inf


def log_ratios(functions):
    """log ERT ratio of each function (a list of pairs of results) that both solve at least once."""
    erts = [(ert([pair["hebbian"] for pair in pairs]), ert([pair["pycma"] for pair in pairs])) for pairs in functions]
    return [np.log(ours / theirs) for ours, theirs in erts if np.isfinite(ours) and np.isfinite(theirs)]


def bootstrap(functions, draws=2000):
    generator = np.random.default_rng(1)
    means = []
    for _ in range(draws):
        drawn = [functions[i] for i in generator.integers(len(functions), size=len(functions))]
        drawn = [[pairs[i] for i in generator.integers(len(pairs), size=len(pairs))] for pairs in drawn]
        ratios = log_ratios(drawn)
        if ratios:
            means.append(np.mean(ratios))
    return np.exp(np.quantile(means, [0.025, 0.975])) if means else (np.nan, np.nan)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimensions", type=search.numbers, default=[5], metavar="D,..")
    parser.add_argument("--functions", type=search.numbers, default=list(range(1, 25)), metavar="F,..")
    parser.add_argument("--instances", type=search.numbers, default=[1, 2, 3, 4, 5], metavar="I,..")
    parser.add_argument("--restarts", choices=["none", "bipop"], default="none")
    parser.add_argument("--budget", type=float, default=1e4, help="evaluations per dimension")
    parser.add_argument("--flags", default="", help="more flags of ask-tell, such as '--noise none'")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--details", action="store_true", help="print every function")
    arguments = search.arguments(parser)
    # Large dimensions first: the last jobs should be short ones.
    jobs = [
        {"dimension": d, "function": f, "instance": i, "restarts": arguments.restarts, "budget": arguments.budget,
         "flags": arguments.flags, "seed": arguments.seed}
        for d in sorted(arguments.dimensions, reverse=True)
        for i in arguments.instances
        for f in arguments.functions
    ]
    results = search.run(functools.partial(pair, program=arguments.hebbian), jobs, arguments.out, arguments.workers)
    print(f"{'D':>3} {'instances':>9} {'ours':>5} {'pycma':>5} {'functions':>9} {'ERT ratio':>9}  95 % interval")
    for dimension in arguments.dimensions:
        of_dimension = [result for result in results if result["job"]["dimension"] == dimension]
        functions = [
            [result for result in of_dimension if result["job"]["function"] == function]
            for function in arguments.functions
        ]
        solved = [sum(result[engine]["solved"] for result in of_dimension) for engine in ("hebbian", "pycma")]
        ratios = log_ratios(functions)
        low, high = bootstrap(functions)
        mean = np.exp(np.mean(ratios)) if ratios else np.nan
        print(f"{dimension:>3} {len(of_dimension):>9} {solved[0]:>5} {solved[1]:>5} {len(ratios):>9} {mean:>9.3f}"
              f"  {low:.3f} to {high:.3f}")
        if arguments.details:
            for function, pairs in zip(arguments.functions, functions):
                engines = [[pair[engine] for pair in pairs] for engine in ("hebbian", "pycma")]
                counts = " ".join(f"{sum(r['solved'] for r in e):>2}/{len(e)} {ert(e):>9.0f}" for e in engines)
                print(f"    f{function:<2} {counts}  {ert(engines[0]) / ert(engines[1]):.2f}")


if __name__ == "__main__":
    main()
