"""What a node of somebody else's cluster (Ray, Dask) does: it holds a worker, which is a process of its own with all that it starts.

The worker has a keeper (`_keep.py`) between itself and the process that the cluster has given: whoever of them ends, the worker ends, its
children end, and the files with its secrets are gone.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Pipe
from typing import NamedTuple

# How a worker stands: it starts, works, or seeks its coordinator; it has left as it was asked, was drained by its coordinator, or failed.
STARTS, ATTACHED, DETACHED, LEFT, DRAINED, FAILED = "starts", "attached", "detached", "left", "drained", "failed"
OVER = (LEFT, DRAINED, FAILED)
# So long after its time is over a worker that is leaving is killed.
SLACK = 1.0
_START_TIMEOUT = 60.0


@dataclass(frozen=True)
class Order:
    """What a node is to run. It travels through the cluster; nothing that is secret is shown with it."""

    name: str
    coordinators: tuple[str, ...]
    slots: int
    # Seconds in which a worker that leaves finishes what it has begun.
    grace: float
    # An objective, pickled; without one the program computes learning rules, or has a command evaluate the problems that it serves.
    objective: bytes | None = field(default=None, repr=False)
    command: str | None = None
    serves: tuple[str, ...] = ()
    # What stands in files: `token`, `ca`, `certificate`, `key`.
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)


class Seen(NamedTuple):
    """How a worker stands, and why, where there is a reason."""

    state: str
    reason: str = ""
    host: str = ""
    # Of its keeper.
    process: int = 0


class Held:
    """A worker on this node. It is killed when this process ends, however it ends."""

    def __init__(self, order: Order) -> None:
        self._condition, self._sending = threading.Condition(), threading.Lock()
        self._seen = Seen(STARTS, host=socket.gethostname())
        self._pipe, theirs = Pipe()
        # Where this package is.
        folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        code = f"import sys; sys.path.insert(0, {folder!r}); from hebbian._keep import main; main({theirs.fileno()})"
        try:
            # It ends at once: the keeper is its child, so that nobody takes the keeper for a child of this process and kills it.
            subprocess.run(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                timeout=_START_TIMEOUT,
                check=True,
            )
        except (OSError, subprocess.SubprocessError) as error:
            self._pipe.close()
            self._tell(Seen(FAILED, f"its process did not start: {error}", socket.gethostname()))
            return
        finally:
            theirs.close()
        self._send((sys.path, order))
        threading.Thread(target=self._listen, daemon=True).start()

    def _send(self, message: object) -> None:
        try:
            with self._sending:
                self._pipe.send(message)
        except OSError:
            # It has ended, which is heard, too.
            pass

    def _tell(self, seen: Seen) -> None:
        with self._condition:
            self._seen = seen
            self._condition.notify_all()

    def _listen(self) -> None:
        try:
            while True:
                seen = self._pipe.recv()
                self._tell(seen)
                if seen.state in OVER:
                    return
        except (EOFError, OSError):
            self._tell(self._seen._replace(state=FAILED, reason="its keeper was killed"))
        finally:
            self._pipe.close()

    def next(self, known: Seen | None, timeout: float) -> Seen:
        """How it stands, as soon as that is something else than what is known, or when the time is over."""
        with self._condition:
            self._condition.wait_for(lambda: self._seen != known, timeout)
            return self._seen

    def drain(self, within: float) -> None:
        """Lets it finish what it has begun, in so many seconds; then it is killed."""
        self._send(within)


class Holder:
    """The same as an actor of Ray: methods are called from elsewhere, several at a time."""

    def __init__(self) -> None:
        self._held: Held | None = None

    def start(self, order: Order) -> Seen:
        """Starts the worker."""
        # Not by the constructor, whose arguments the cluster keeps.
        self._held = Held(order)
        return self._held.next(None, 0.0)

    def next(self, known: Seen, timeout: float) -> Seen:
        """As of :class:`Held`."""
        assert self._held is not None
        return self._held.next(known, timeout)

    def drain(self, within: float) -> None:
        """As of :class:`Held`."""
        if self._held is not None:
            self._held.drain(within)


# Those that tasks of Dask hold in this process.
_tasks: dict[str, Held] = {}


def hold(topic: str, place: str, order: Order) -> dict[str, object]:
    """The same as a task of Dask: it lasts as long as the worker, tells how that stands, and ends it when nobody wants the task."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    held = _tasks[place] = Held(order)
    told: Seen | None = None
    asked: float | None = None
    try:
        while True:
            seen = held.next(told, _TASK_LOOK)
            if seen != told:
                told = seen
                worker.log_event(topic, {"place": place, "address": worker.address, "seen": seen._asdict()})
            if seen.state in OVER:
                return seen._asdict()
            within = _ending(worker, key, order.grace)
            if within is not None and (asked is None or within < asked):
                asked = within
                held.drain(within)
    finally:
        del _tasks[place]


# How often a task looks whether it is still wanted, in seconds.
_TASK_LOOK = 0.5


def _ending(worker: object, key: str, grace: float) -> float | None:
    """In how many seconds a task of Dask must have ended, because nobody wants it or its node leaves; none if it goes on."""
    state = worker.state.tasks.get(key)  # type: ignore[attr-defined]
    if state is None or state.state in ("cancelled", "resumed", "released"):
        return 0.0
    status = worker.status.name  # type: ignore[attr-defined]
    if status == "closing_gracefully":
        return grace
    return 0.0 if status in ("closing", "closed", "failed", "stopping") else None


def drain_task(place: str, within: float) -> None:
    """Drains what a task of Dask holds in this process."""
    held = _tasks.get(place)
    if held is not None:
        held.drain(within)
