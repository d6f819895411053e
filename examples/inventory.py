"""A shop's stock: when to order, and how much. A simulator that is noisy, with whole numbers.

    pip install hebbian; python examples/inventory.py

Each week about ten pieces are wanted (Poisson). An order costs 64, a piece in stock 1 a week, a customer who waits 9 a week. When the stock is
at most `reorder`, it is filled up to `reorder + lot`. The best policy is known: (6, 40), with a cost of 35.02 a week (Zheng and Federgruen 1991).

Seen on two busy cores: 840 candidates, 8 evaluations of each, about 10 s; the best policy, which costs 34.93 a week here.
"""

import math
import random
import statistics

import hebbian

ORDER, HOLDING, WAITING, WANTED, WEEKS = 64.0, 1.0, 9.0, 10.0, 400


def poisson(draw):
    """How many pieces are wanted in a week (Knuth)."""
    count, product, limit = 0, draw.random(), math.exp(-WANTED)
    while product > limit:
        count, product = count + 1, product * draw.random()
    return count


@hebbian.objective("inventory", reorder=hebbian.integer(0, 60), lot=hebbian.integer(1, 100), evaluations=8, scores=["orders"])
def cost(reorder, lot, seed):
    """The mean cost of a week."""
    draw = random.Random(seed)
    stock = reorder + lot
    total, orders = 0.0, 0
    for _ in range(WEEKS):
        if stock <= reorder:
            stock, total, orders = reorder + lot, total + ORDER, orders + 1
        stock -= poisson(draw)
        total += HOLDING * stock if stock > 0 else -WAITING * stock
    return total / WEEKS, {"orders": orders}


def judged(reorder, lot):
    """The same over many more weeks than the search has seen."""
    return statistics.fmean(cost(reorder=reorder, lot=lot, seed=seed)[0] for seed in range(1000, 1250))


if __name__ == "__main__":
    result = hebbian.minimise(cost, generations=60, population_size=12)
    reorder, lot = result.parameters["reorder"], result.parameters["lot"]
    print(f"cost {judged(reorder, lot):.2f} a week over 100,000 weeks: at {reorder} pieces order up to {reorder + lot}")
    print(f"the best policy, (6, 40): {judged(6, 34):.2f}; {result.evaluations} candidates, {result.scores['orders']:.0f} orders in {WEEKS} weeks")
