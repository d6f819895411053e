# Minimises Rosenbrock's function with `hebbian ask-tell`. Any language that can start a program can do the same.
import json
import subprocess


def f(x):
    return sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in zip(x, x[1:]))


command = "hebbian ask-tell --strategy cma-es --dimension 5 --sigma 0.5 --target -1e-10"
with subprocess.Popen(command.split(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as search:
    for message in map(json.loads, search.stdout):
        if "stop" in message:
            print(message["stop"], message["detail"], message["best"])
            break
        fitness = [-f(x) for x in message["candidates"]]  # maximised; None where an evaluation failed
        print(json.dumps({"fitness": fitness}), file=search.stdin, flush=True)
