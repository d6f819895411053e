"""COCO's bbob-mixint: 24 functions whose first coordinates are integers, ours through `hebbian ask-tell` against pycma's integer
handling and the CMA-ES with margin of the package cmaes, on the same instances from the same points.

x0 uniform within the bounds, deviations a quarter of their distance, COCO's final target, 2,000 D evaluations, no restarts, each with
its default population. Prints, for each dimension and each peer, the instances that both solve, and the geometric mean over
functions of the ratio of expected running times, ours over the peer's, where both solve some, with a 95 % bootstrap
interval (see bbob.py)."""

import argparse
import functools
import json
import pathlib
import zlib

import numpy as np

import bbob
import search

PEERS = ("pycma", "cmaes")


def cmaes(objective, mean, deviations, bounds, integers, seed):
    """Minimises with CMA-ES with margin until it stops or the objective raises `Done`."""
    from cmaes import CMAwM

    steps = np.array([1.0 if i in integers else 0.0 for i in range(len(mean))])
    engine = CMAwM(mean=mean, sigma=1.0, bounds=bounds, steps=steps, cov=np.diag(deviations**2), seed=seed % 2**31)
    try:
        while not engine.should_stop():
            asked = [engine.ask() for _ in range(engine.population_size)]
            engine.tell([(told, float(objective(evaluated))) for evaluated, told in asked])
    except search.Done:
        pass


def solve(job, engine, program):
    """Evaluations and whether the target was hit."""
    import cocoex

    dimension, function, instance = job["dimension"], job["function"], job["instance"]
    suite = cocoex.Suite("bbob-mixint", f"instances:{instance}", f"dimensions:{dimension} function_indices:{function}")
    problem = suite[0]
    budget = int(job["budget"] * dimension)
    bounds = np.array([problem.lower_bounds, problem.upper_bounds]).T
    integers = list(range(problem.number_of_integer_variables))
    generator = np.random.default_rng([dimension, function, instance, job["seed"]])
    mean = generator.uniform(bounds[:, 0], bounds[:, 1])
    deviations = (bounds[:, 1] - bounds[:, 0]) / 4
    seed = zlib.crc32(repr(sorted((key, job[key]) for key in ("dimension", "function", "instance", "budget", "seed"))).encode())

    def objective(x):
        if problem.evaluations >= budget:
            raise search.Done
        value = problem(np.asarray(x))
        if problem.final_target_hit:
            raise search.Done
        return value

    if engine == "hebbian":
        settings = {"scales": deviations, "lower_bounds": bounds[:, 0], "upper_bounds": bounds[:, 1], "integers": integers}
        lists = [word for key, values in settings.items() for word in ("--set", f"{key}={json.dumps(list(values))}")]
        search.hebbian(program, objective, mean, 1.0, seed, [*lists, *job["flags"].split(), "--max-evaluations", str(budget)])
    elif engine == "pycma":
        options = {"CMA_stds": deviations, "bounds": list(bounds.T), "integer_variables": integers}
        search.pycma(objective, mean, 1.0, seed, options.items())
    else:
        cmaes(objective, mean, deviations, bounds, integers, seed)
    return {"evaluations": problem.evaluations, "solved": bool(problem.final_target_hit)}


def one(job, program):
    """One search of one engine. What is drawn does not depend on the engine."""
    problem = {key: value for key, value in job.items() if key != "engine"}
    return {"job": job, **solve(problem, job["engine"], program)}


def table(arguments, results):
    """Prints ours beside each peer, by dimension."""
    found = {}
    for result in results:
        job = result["job"]
        found[job["engine"], job["dimension"], job["function"], job["instance"], job["seed"]] = result
    print(f"{'D':>3} {'problems':>9} {'ours':>5} {'peer':>5}        {'functions':>9} {'ERT ratio':>9}  95 % interval")
    for dimension in arguments.dimensions:
        for peer in PEERS:
            functions = []
            for function in arguments.functions:
                keys = [(dimension, function, i, s) for i in arguments.instances for s in arguments.seeds]
                both = [key for key in keys if ("hebbian", *key) in found and (peer, *key) in found]
                functions.append([{"hebbian": found["hebbian", *key], "pycma": found[peer, *key]} for key in both])
            pairs = [pair for pairs in functions for pair in pairs]
            functions = [pairs for pairs in functions if pairs]
            if not functions:
                continue
            solved = [sum(pair[engine]["solved"] for pair in pairs) for engine in ("hebbian", "pycma")]
            ratios = bbob.log_ratios(functions)
            low, high = bbob.bootstrap(functions)
            mean = np.exp(np.mean(ratios)) if ratios else np.nan
            print(f"{dimension:>3} {len(pairs):>9} {solved[0]:>5} {solved[1]:>5} {peer:<6} {len(ratios):>9} {mean:>9.3f}"
                  f"  {low:.3f} to {high:.3f}")
            for number, pairs in zip(arguments.functions, functions) if arguments.details else []:
                engines = [[pair[engine] for pair in pairs] for engine in ("hebbian", "pycma")]
                counts = " ".join(f"{sum(r['solved'] for r in e):>2}/{len(e)} {bbob.ert(e):>9.0f}" for e in engines)
                print(f"    f{number:<2} {counts}  {bbob.ert(engines[0]) / bbob.ert(engines[1]):.2f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dimensions", type=search.numbers, default=[5], metavar="D,..")
    parser.add_argument("--functions", type=search.numbers, default=list(range(1, 25)), metavar="F,..")
    parser.add_argument("--instances", type=search.numbers, default=[1, 2, 3, 4, 5], metavar="I,..")
    parser.add_argument("--budget", type=float, default=2e3, help="evaluations per dimension")
    parser.add_argument("--flags", default="", help="more flags of ask-tell, such as '--noise none'")
    parser.add_argument("--seeds", type=search.numbers, default=[1], metavar="S,..", help="other starts and other draws")
    parser.add_argument("--engines", default="hebbian,pycma,cmaes", metavar="E,..", help="which of them search")
    parser.add_argument("--beside", nargs="*", default=[], metavar="FILE", help="results of others than --engines, from earlier calls")
    parser.add_argument("--details", action="store_true", help="print every function")
    arguments = search.arguments(parser)
    engines = arguments.engines.split(",")
    # Ours alone has flags.
    jobs = [
        {"dimension": d, "function": f, "instance": i, "budget": arguments.budget, "seed": s, "engine": engine}
        | ({"flags": arguments.flags} if engine == "hebbian" else {})
        for d in arguments.dimensions
        for s in arguments.seeds
        for i in arguments.instances
        for engine in engines
        for f in arguments.functions
    ]
    results = search.run(functools.partial(one, program=arguments.hebbian), jobs, arguments.out, arguments.workers)
    for path in arguments.beside:
        lines = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
        results += [line for line in lines if line["job"]["engine"] not in engines]
    table(arguments, results)


if __name__ == "__main__":
    main()
