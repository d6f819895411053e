"""Objectives that the tests evaluate in other processes."""

import os
import signal
import sys
import time

import hebbian


@hebbian.objective(x=hebbian.real(0.0, deviation=0.5), layers=hebbian.integer(1, 8))
def score(x, layers, seed):
    return -((x - 1.0) ** 2) - 0.1 * (layers - 3) ** 2


@hebbian.objective(x=hebbian.real(0.0, deviation=1.0), kind=hebbian.fixed("plain"), scores=["twice"], time_limit=1.0)
def troubled(x, kind, seed):
    """Does what the number says."""
    assert kind == "plain"
    if x == 1:
        raise hebbian.Failed("not this one")
    if x == 2:
        return float("nan")
    if x == 3:
        raise hebbian.Infeasible(0.25)
    if x == 4:
        raise ZeroDivisionError("by nothing")
    if x == 5:
        os.kill(os.getpid(), signal.SIGSEGV)
    if x == 6:
        time.sleep(100)
    if x == 7:
        return None
    if x == 8:
        return x
    if x == 9:
        raise hebbian.Infeasible(-1)
    if x == 10:
        os._exit(3)
    if x >= 100:
        time.sleep(x / 1000)
    return x + seed, {"twice": 2 * x}


@hebbian.objective(x=hebbian.real(0.0, deviation=1.0))
def waits(x):
    """So many seconds; a negative number ends the process."""
    if x < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(x)
    return x


@hebbian.objective(weights=hebbian.real(0.5, deviation=0.1, length=3), counts=hebbian.integer(0, 5, length=2), whole=hebbian.integer(0, 3))
def of_arrays(weights, counts, whole):
    assert weights.shape == (3,) and counts.shape == (2,) and counts.dtype.kind == "i" and isinstance(whole, int)
    return float(weights.sum() + counts.sum() + whole)


@hebbian.objective(x=hebbian.real(0.0, deviation=1.0), how=hebbian.fixed(""))
def forks(x, how):
    """Leaves a child in it that comes out of it, too, and tells how the child ended."""
    child = os.fork()
    if child:
        return x + os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if how == "raises":
        raise RuntimeError("said by a child")
    if how == "fails":
        raise hebbian.Failed("said by a child")
    if how == "exits":
        sys.exit(7)
    if how == "says":
        sys.exit("said by a child")
    return -1000.0


class ForksWhenLoaded:
    """Leaves a child that comes out of its loading, too, and tells how the child ended."""

    def __init__(self, how, code=None):
        self.how, self.code = how, code

    def __reduce__(self):
        return _loaded, (self.how,)

    def __call__(self, x):
        return x + self.code


def _loaded(how):
    child = os.fork()
    if child:
        return ForksWhenLoaded(how, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    if how == "exits":
        sys.exit(7)
    return ForksWhenLoaded(how, -1000.0)


_told = 0


@hebbian.objective(x=hebbian.real(0.0, deviation=1.0, length=3), evaluations=8, recheck={"absolute": 1e-6})
def told(x, seed):
    """Where HEBBIAN_TEST_LIES is set, every fifth value is a little too good."""
    global _told
    _told += 1
    lie = 1e-3 if "HEBBIAN_TEST_LIES" in os.environ and _told % 5 == 0 else 0.0
    return -float(((x - 1) ** 2).sum()) + (seed % 100) / 1e4 + lie
