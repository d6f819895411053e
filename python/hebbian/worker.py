"""Workers in Python: `hebbian.work(score, coordinator="http://host:7420")` on each machine."""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType, TracebackType

from ._objective import Objective
from ._plain import whole
from ._pool import Pool
from ._session import Session
from .connection import Coordinators, Paths, Tls, addresses_of

# What a worker may offer.
SLOTS_MAX = 1024


def slots_of(workers: int | None) -> int:
    """So many evaluator processes; as many as cores if it is not said."""
    if workers is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return whole("workers", workers, 1, SLOTS_MAX)


def checked(score: object) -> Objective:
    """An objective."""
    if not isinstance(score, Objective):
        raise TypeError(f"{score!r} is no objective: put @hebbian.objective(x=hebbian.real(0.0, deviation=1.0), ...) above the function")
    return score


class Worker:
    """A worker beside what this process does otherwise; it evaluates in processes of its own."""

    def __init__(
        self,
        score: Objective,
        *,
        coordinator: Coordinators | None = None,
        workers: int | None = None,
        name: str | None = None,
        tls: Tls | None = None,
        token_file: Paths | None = None,
    ) -> None:
        addresses = addresses_of(coordinator)
        slots = slots_of(workers)
        self.session = Session(checked(score), addresses, name, slots, tls, token_file=token_file)
        self._pool = Pool(score, slots, self.session.finished)
        self.session.add, self.session.give_back, self.session.discard = self._pool.add, self._pool.give_back, self._pool.discard
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.session.run()
        except BaseException as error:
            self._error = error
        finally:
            self._pool.close()

    @property
    def evaluations(self) -> int:
        """How many it has evaluated."""
        return self.session.evaluations

    def join(self, timeout: float | None = None) -> bool:
        """Waits until it has left; whether it has."""
        self._thread.join(timeout)
        if self._error is not None:
            raise self._error
        return not self._thread.is_alive()

    def stop(self, within: float = 10.0) -> None:
        """Leaves: finishes what has begun, in so many seconds, and gives the rest back."""
        self.session.stop(within)
        self._thread.join()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop(0.0 if kind else 10.0)


def work(
    score: Objective,
    *,
    coordinator: Coordinators | None = None,
    workers: int | None = None,
    name: str | None = None,
    tls: Tls | None = None,
    token_file: Paths | None = None,
) -> int:
    """Evaluates for a coordinator (or the first of several that answers) until it is drained, or until SIGTERM or Ctrl-C: then it finishes
    what has begun. It never gives up while no coordinator is there. How many evaluations it made.

    ``workers``: processes that evaluate, as many as cores if not given. ``token_file``: a file with a token of the role worker, for
    coordinators that control access (without it, that of ``HEBBIAN_TOKEN_FILE``); it is read again before each connection.
    """
    if threading.current_thread() is not threading.main_thread():
        worker = Worker(score, coordinator=coordinator, workers=workers, name=name, tls=tls, token_file=token_file)
        worker.join()
        return worker.evaluations
    worker = Worker(score, coordinator=coordinator, workers=workers, name=name, tls=tls, token_file=token_file)

    def leave(number: int, frame: FrameType | None) -> None:
        del number, frame
        # A second signal does not wait.
        threading.Thread(target=worker.session.stop, args=(0.0 if worker.session._stop_within is not None else 10.0,), daemon=True).start()

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while not worker.join(0.5):
            pass
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return worker.evaluations
