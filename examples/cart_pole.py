"""The objective of the spec `cart-pole`: one request a line on standard input, one answer a line on standard output.

The value is the number of steps that the pole stands, plus a little for a controller that acts seldom.
"""

import json
import math
import random
import sys


def balance(weights, force, every, steps, seed):
    """Steps until the pole falls (Barto, Sutton and Anderson 1983), and how often the controller acted."""
    rng = random.Random(seed)
    x, v, angle, spin = (rng.uniform(-0.05, 0.05) for _ in range(4))
    push, moves = 0.0, 0
    for step in range(steps):
        if step % every == 0:
            push = force * math.tanh(weights[0] * x + weights[1] * v + weights[2] * angle + weights[3] * spin)
            moves += 1
        sine, cosine = math.sin(angle), math.cos(angle)
        pull = (push + 0.05 * spin * spin * sine) / 1.1
        torque = (9.8 * sine - cosine * pull) / (0.5 * (4.0 / 3.0 - 0.1 * cosine * cosine / 1.1))
        x, v = x + 0.02 * v, v + 0.02 * (pull - 0.05 * torque * cosine / 1.1)
        angle, spin = angle + 0.02 * spin, spin + 0.02 * torque
        if abs(x) > 2.4 or abs(angle) > 0.21:
            return step + 1, moves
    return steps, moves


for line in sys.stdin:
    request = json.loads(line)
    stood, moves = balance(**request["parameters"], seed=request["seed"])
    value = stood + 50.0 * (1.0 - moves / stood)
    print(json.dumps({"id": request["id"], "value": value, "scores": {"steps": stood, "moves": moves}}), flush=True)
