"""Keeps so many workers on a cluster: starts them, sees how they stand, replaces those that are lost, ends them."""

from __future__ import annotations

import atexit
import socket
import threading
import time
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any, Protocol

from ._escape import logger
from ._evaluate import cut
from ._node import ATTACHED, DETACHED, DRAINED, FAILED, LEFT, OVER, SLACK, Order, Seen
from ._plain import number, shown, whole
from .errors import HebbianError

# How long news are waited for before it is looked what else is to do.
_LOOK = 0.2
# From a failure to the next start, doubled with each failure in a row.
_BACK_OFF_MIN, _BACK_OFF_MAX = 0.5, 30.0
# A worker that was attached for so long was a good one.
_GOOD = 30.0
# After so many failures in a row, none of them of a good worker, while nobody else works, it is given up.
_FAILURES_MAX = 5
# Who was not started by the cluster for so long is told of.
_PENDING = 30.0
# A cluster has so long to tell that a worker has left, after the time that this had.
_MARGIN = 10.0


class Engine(Protocol):
    """What workers need of the cluster that they are placed on. One thread alone calls it."""

    @property
    def kind(self) -> str:
        """Whose it is."""

    @property
    def needs(self) -> str:
        """What a worker takes of it."""

    def start(self, order: Order) -> Any:
        """Starts a worker as soon as there is a place for it; what it is known by."""

    def look(self, workers: Collection[Any], timeout: float) -> dict[Any, Seen]:
        """What is new of them, or nothing when the time is over."""

    def drain(self, worker: Any, within: float) -> None:
        """Asks one to leave."""

    def end(self, worker: Any) -> None:
        """Gives back its place; kills it if it is still there."""

    def close(self) -> None:
        """It is not needed any more."""


class _Place:
    """A worker, and those that have taken its place."""

    def __init__(self, count: int, name: str) -> None:
        self.number, self.name = count, f"{name}-{count}"
        #: What the cluster knows it by, and what was seen of it: nothing before it has found a node.
        self.worker: Any = None
        self.seen: Seen | None = None
        self.started = self.start_at = 0.0
        self.attached_at: float | None = None
        #: In a row.
        self.failures = 0
        self.is_pending_told = False
        #: In so many seconds it is to have left; what it was told; when it is killed.
        self.within: float | None = None
        self.told: float | None = None
        self.leave_by = 0.0

    def __str__(self) -> str:
        return f"worker {self.name}" + (f" on {self.seen.host}" if self.seen is not None and self.seen.host else "")

    @property
    def attached(self) -> bool:
        return self.seen is not None and self.seen.state == ATTACHED

    def leave(self, within: float) -> None:
        if self.within is None or within < self.within:
            self.within = within


class Workers:
    """Workers on a cluster, kept at a number. What is heard of them, replacements too, is told by the logger ``hebbian``."""

    def __init__(
        self, engine: Engine, orders: Callable[[str], Order], workers: int, name: str, grace: float, *, loopback: bool = False
    ) -> None:
        self._engine, self._orders, self._name, self._grace, self._loopback = engine, orders, name, grace, loopback
        self._condition = threading.Condition()
        self._places: list[_Place] = []
        self._stopped = False
        self._error: HebbianError | None = None
        self.scale(workers)
        # Nobody can be asked any more when the engine's own connection has ended.
        atexit.register(self._leave_at_exit)
        self._thread = threading.Thread(target=self._run, daemon=True, name="hebbian-workers")
        self._thread.start()

    def __repr__(self) -> str:
        with self._condition:
            return f"<hebbian workers on {self._engine.kind}: {self._working()} of {len(self._places)} attached>"

    def _working(self) -> int:
        return sum(place.attached for place in self._places)

    @property
    def working(self) -> int:
        """How many are attached to a coordinator, as far as they were heard of."""
        with self._condition:
            return self._working()

    def check(self) -> None:
        """Raises if it was given up, because workers failed again and again."""
        if self._error is not None:
            raise self._error

    def scale(self, workers: int) -> None:
        """Keeps so many from now on; those that are too many leave as by :meth:`stop`. It does not wait for either."""
        count = whole("workers", workers, 0)
        with self._condition:
            self.check()
            if self._stopped:
                raise HebbianError("these workers were stopped; start others by another call")
            staying = [place for place in self._places if place.within is None]
            for place in staying[count:]:
                place.leave(self._grace)
            for _ in range(count - len(staying)):
                taken = {place.number for place in self._places}
                self._places.append(_Place(next(free for free in range(1, len(taken) + 2) if free not in taken), self._name))
            self._condition.notify_all()

    def stop(self, within: float | None = None) -> None:
        """All leave: they finish what they have begun, in so many seconds (``grace``, which is the most that they take), and give the rest
        back. Returns when none is left."""
        seconds = self._grace if within is None else float(number("within", within))
        if seconds < 0:
            raise ValueError(f"within: must be a number of at least 0 (seconds), not {shown(within)}")
        with self._condition:
            self._stopped = True
            for place in self._places:
                place.leave(seconds)
            self._condition.notify_all()
        self._thread.join()

    def join(self, timeout: float | None = None) -> bool:
        """Waits until all have left, as they do when a coordinator drains them; whether they have. Raises as :meth:`check`."""
        with self._condition:
            self._condition.wait_for(lambda: not self._places or self._error is not None, timeout)
            self.check()
            return not self._places

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop(0.0 if kind else None)

    def _leave_at_exit(self) -> None:
        self.stop(0.0)

    # What the thread does

    def _run(self) -> None:
        try:
            while self._step():
                pass
        except BaseException as error:
            self._give_up(f"{type(error).__name__}: {error}")
            raise
        finally:
            for place in self._places:
                self._end(place)
            self._call(self._engine.close)
            atexit.unregister(self._leave_at_exit)
            with self._condition:
                self._places.clear()
                self._condition.notify_all()

    def _step(self) -> bool:
        """Does what is to be done and hears what is new; whether there is more."""
        with self._condition:
            self._condition.wait_for(lambda: self._places or self._stopped)
            if not self._places:
                return False
            places = list(self._places)
        for place in places:
            self._act(place)
        known = {place.worker: place for place in places if place.worker is not None}
        try:
            news = self._engine.look(known.keys(), _LOOK) if known else {}
        except Exception as error:
            news = dict.fromkeys(known, Seen(FAILED, cut(f"{self._engine.kind} cannot be asked: {type(error).__name__}: {error}")))
        with self._condition:
            for worker, seen in news.items():
                self._heard(known[worker], seen)
            if not known:
                self._condition.wait(_LOOK)
        return True

    def _call(self, what: Callable[..., Any], *arguments: Any) -> None:
        """Asks the cluster for something that may be needless by now."""
        try:
            what(*arguments)
        except Exception as error:
            logger.debug("%s: %s", self._engine.kind, error)

    def _end(self, place: _Place) -> None:
        if place.worker is not None:
            self._call(self._engine.end, place.worker)
            place.worker = None

    def _act(self, place: _Place) -> None:
        now = time.monotonic()
        if place.within is not None:
            self._lead_out(place, place.within, now)
        elif place.worker is None:
            if now >= place.start_at:
                self._start(place, now)
        elif place.seen is None and now - place.started > _PENDING and not place.is_pending_told:
            place.is_pending_told = True
            logger.warning("%s has not been started by %s yet, of which it takes %s", str(place), self._engine.kind, self._engine.needs)

    def _lead_out(self, place: _Place, within: float, now: float) -> None:
        """A worker is to leave."""
        if place.told is not None and now > place.leave_by:
            logger.warning("%s was not heard of any more, and is killed", str(place))
        elif place.worker is not None and place.seen is not None:
            if place.told != within:
                place.told, place.leave_by = within, now + within + SLACK + _MARGIN
                self._call(self._engine.drain, place.worker, within)
            return
        self._end(place)
        self._remove(place)

    def _start(self, place: _Place, now: float) -> None:
        place.started, place.attached_at, place.seen = now, None, None
        try:
            place.worker = self._engine.start(self._orders(place.name))
        except Exception as error:
            with self._condition:
                self._failed(place, cut(f"{type(error).__name__}: {error}"))

    def _remove(self, place: _Place) -> None:
        with self._condition:
            self._places.remove(place)
            self._condition.notify_all()

    def _heard(self, place: _Place, seen: Seen) -> None:
        before = place.seen
        # Of a lost one the cluster does not know where it was.
        place.seen = seen if seen.host or before is None else seen._replace(host=before.host)
        if seen.state == ATTACHED and place.attached_at is None:
            place.attached_at = time.monotonic()
            logger.info("%s is attached", str(place))
        elif seen.state == DETACHED and (before is None or before.reason != seen.reason):
            elsewhere = self._loopback and seen.host != socket.gethostname()
            logger.warning("%s: %s%s", str(place), seen.reason, "; give an address that the nodes reach" if elsewhere else "")
        if seen.state in OVER:
            self._end(place)
            if place.within is not None or seen.state == DRAINED:
                logger.info(
                    "%s %s", str(place), "was drained by its coordinator, and is not replaced" if seen.state == DRAINED else "has left"
                )
                self._remove(place)
            else:
                self._failed(place, "somebody on its node has ended it" if seen.state == LEFT else seen.reason)

    def _failed(self, place: _Place, reason: str) -> None:
        now = time.monotonic()
        is_good = place.attached_at is not None and now - place.attached_at >= _GOOD
        place.failures = 0 if is_good else place.failures + 1
        if place.failures >= _FAILURES_MAX and not any(other.attached for other in self._places if other is not place):
            self._give_up(f"nobody works, and {place} has failed {place.failures} times in a row, the last time: {reason}")
            return
        wait = 0.0 if is_good else min(_BACK_OFF_MIN * 2 ** (place.failures - 1), _BACK_OFF_MAX)
        logger.warning("%s failed: %s; another one is started%s", str(place), reason, f" in {wait:g} s" if wait else "")
        place.start_at = now + wait
        place.is_pending_told = False

    def _give_up(self, reason: str) -> None:
        with self._condition:
            self._error = HebbianError(f"workers on {self._engine.kind} were given up: {reason}")
            logger.error("%s", self._error)
            self._stopped = True
            for place in self._places:
                place.leave(0.0)
            self._condition.notify_all()
