"""Processes that evaluate, one per slot: started, fed, watched, ended and started again."""

from __future__ import annotations

import functools
import io
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Pipe
from typing import Any, NamedTuple

import cloudpickle

from ._evaluate import ERROR, Outcome, cut
from ._objective import Objective
from .errors import HebbianError

logger = logging.getLogger("hebbian")
# How much work a process gets at a time, in seconds and in evaluations.
_CHUNK_SECONDS, _CHUNK_MAX = 0.02, 1024
_START_TIMEOUT = 60.0
# From SIGTERM to SIGKILL.
_GRACE = 2.0
_BACK_OFF_MIN, _BACK_OFF_MAX = 0.1, 10.0
# How long what nobody wants any more may go on.
_UNWANTED = 1.0


class _Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
    """Sends along what others cannot import, functions with a cache as well."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, functools._lru_cache_wrapper) and obj.__module__ == "__main__":
            return _cached, (obj.__wrapped__, obj.cache_parameters())
        return super().reducer_override(obj)


def _cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Callable[..., Any]:
    cached: Callable[..., Any] = functools.lru_cache(**parameters)(function)
    return cached


def _pickled(objective: Objective) -> bytes:
    content = io.BytesIO()
    _Pickler(content).dump(objective)
    return content.getvalue()


class Item(NamedTuple):
    """One evaluation."""

    # Of whoever asked; told again with the outcome.
    ticket: Any
    candidate: int
    task: int
    seed: int
    values: tuple[float, ...]


class Job:
    """What the evaluations of a run have in common."""

    def __init__(self, fixed: dict[str, Any], time_limit: float) -> None:
        self.fixed, self.time_limit = fixed, time_limit


class _Process:
    """A process that evaluates."""

    def __init__(self, content: bytes, slot: int) -> None:
        self.pipe, theirs = Pipe()
        life, self._life = os.pipe()
        environment = {**os.environ, "HEBBIAN_SLOT": str(slot)}
        # Where this package is.
        folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        code = f"import sys; sys.path.insert(0, {folder!r}); from hebbian._evaluate import main; main({theirs.fileno()}, {life})"
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), life),
                env=environment,
                # Its children end with it, and Ctrl-C is for its parent.
                start_new_session=True,
            )
        finally:
            theirs.close()
            os.close(life)
        self.job: Job | None = None
        try:
            self.pipe.send((sys.path, content))
            if not self.pipe.poll(_START_TIMEOUT):
                raise EOFError
            problem = self.pipe.recv()
        except (EOFError, OSError):
            problem = f"the evaluating process did not start: {self.end()}"
        if problem is not None:
            self.end()
            raise HebbianError(problem)

    def end(self) -> str:
        """Ends it with its children, and says how it ended."""
        try:
            code = self.process.wait(0.05)
            own = True
        except subprocess.TimeoutExpired:
            own = False
            self._signal(signal.SIGTERM)
            try:
                self.process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                pass
        # Its children, too.
        self._signal(signal.SIGKILL)
        code = self.process.wait()
        self.pipe.close()
        if self._life >= 0:
            os.close(self._life)
            self._life = -1
        if not own:
            return "it was ended"
        return f"it was killed by {signal.Signals(-code).name}" if code < 0 else f"it exited with code {code}"

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass


class Pool:
    """So many processes, a thread of this one for each."""

    def __init__(self, objective: Objective, slots: int, finished: Callable[[Job, list[tuple[Item, Outcome, float]]], None]) -> None:
        """``finished`` is called from the threads with the outcomes and the seconds that they took."""
        try:
            self._content = _pickled(objective)
        except Exception as error:
            raise HebbianError(f"the objective cannot be sent to another process: {error}") from error
        self._finished = finished
        self._condition = threading.Condition()
        self._queue: deque[tuple[Job, Item, bool]] = deque()
        self._closing = False
        self.slots = slots
        self._working: dict[int, tuple[list[tuple[Job, Item, bool]], float]] = {}
        self._unwanted: set[int] = set()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._duration: float | None = None
        self._threads = [threading.Thread(target=self._serve, args=(slot,), daemon=True) for slot in range(slots)]
        for thread in self._threads:
            thread.start()

    def add(self, job: Job, items: list[Item]) -> None:
        """Adds evaluations."""
        with self._condition:
            self._queue.extend((job, item, False) for item in items)
            self._condition.notify_all()

    def discard(self, unwanted: Callable[[Item], bool]) -> list[Item]:
        """Takes back evaluations that have not begun; those that have and are not wanted end a little later."""
        with self._condition:
            taken = [item for _, item, _ in self._queue if unwanted(item)]
            self._queue = deque(entry for entry in self._queue if not unwanted(entry[1]))
            for slot, (works, _) in self._working.items():
                if all(unwanted(item) for _, item, _ in works):
                    self._unwanted.add(slot)
            return taken

    def processes(self) -> list[subprocess.Popen[bytes]]:
        """Those that evaluate at the moment."""
        return list(self._processes.values())

    def close(self) -> None:
        """Ends all processes, whatever they do."""
        with self._condition:
            self._closing = True
            self._queue.clear()
            self._condition.notify_all()
        for thread in self._threads:
            thread.join()

    # What a thread does

    def _take(self, slot: int) -> list[tuple[Job, Item, bool]]:
        """Waits for work: few evaluations that take long, or many short ones; none when the pool is closed."""
        with self._condition:
            while not self._queue and not self._closing:
                self._condition.wait()
            if self._closing:
                return []
            size = 1
            if self._duration is not None:
                size = int(min(_CHUNK_MAX, _CHUNK_SECONDS / max(self._duration, 1e-7)))
            # The last ones are shared.
            size = max(1, min(size, -(-len(self._queue) // self.slots)))
            works = [self._queue.popleft()]
            alone = works[0][2]
            while not alone and len(works) < size and self._queue and self._queue[0][0] is works[0][0] and not self._queue[0][2]:
                works.append(self._queue.popleft())
            self._working[slot] = works, time.monotonic()
            self._unwanted.discard(slot)
            return works

    def _done(self, slot: int, works: list[tuple[Job, Item, bool]], answers: list[tuple[Outcome, float]]) -> None:
        with self._condition:
            self._working.pop(slot, None)
            if works and answers:
                mean = sum(seconds for _, seconds in answers) / len(answers)
                # A longer one counts at once.
                self._duration = mean if self._duration is None or mean > self._duration else 0.8 * self._duration + 0.2 * mean
        self._finished(works[0][0], [(item, *answer) for (_, item, _), answer in zip(works, answers)])

    def _serve(self, slot: int) -> None:
        process: _Process | None = None
        wait = _BACK_OFF_MIN
        while works := self._take(slot):
            problem = None
            if process is not None and process.process.poll() is not None:
                # It died while it had nothing to do: no evaluation is at fault.
                logger.warning("an idle evaluating process died: %s; another one is started", process.end())
                process = None
            start = time.monotonic()
            try:
                if process is None:
                    process = _Process(self._content, slot)
                    self._processes[slot] = process.process
                answers = self._ask(process, slot, works)
                wait = _BACK_OFF_MIN
            except HebbianError as error:
                problem, answers = str(error), []
            if problem is None:
                self._done(slot, works, answers)
                continue
            if process is not None:
                process.end()
                process = None
            if len(works) > 1 and not self._closing:
                # Which of them it was is not known: each by itself tells.
                with self._condition:
                    self._working.pop(slot, None)
                    self._queue.extendleft((job, item, True) for job, item, _ in reversed(works))
                    self._condition.notify_all()
            else:
                self._done(slot, works, [((ERROR, cut(problem), None), time.monotonic() - start)])
            with self._condition:
                self._condition.wait_for(lambda: self._closing, wait)
            wait = min(2 * wait, _BACK_OFF_MAX)
        if process is not None:
            process.end()

    def _ask(self, process: _Process, slot: int, works: list[tuple[Job, Item, bool]]) -> list[tuple[Outcome, float]]:
        """What a process answers; raises if it does not."""
        job = works[0][0]
        deadline = time.monotonic() + job.time_limit * len(works)
        unwanted_since: float | None = None
        try:
            fixed = None if process.job is job else job.fixed
            process.job = job
            process.pipe.send((fixed, [(item.values, item.seed) for _, item, _ in works]))
            while not process.pipe.poll(0.25 if self._unwanted or job.time_limit < 1 else min(1.0, job.time_limit)):
                now = time.monotonic()
                if self._closing:
                    raise HebbianError("the worker is leaving")
                if process.process.poll() is not None and not process.pipe.poll():
                    # Children that it has left behind may hold the pipe open.
                    raise EOFError
                if now > deadline:
                    raise HebbianError(f"the evaluation took longer than the time limit of {job.time_limit:g} s")
                if slot in self._unwanted:
                    unwanted_since = unwanted_since or now
                    if now - unwanted_since > _UNWANTED:
                        raise HebbianError("the evaluation is not wanted any more")
            answers: list[tuple[Outcome, float]] = process.pipe.recv()
            return answers
        except (EOFError, OSError) as error:
            raise HebbianError(f"the evaluating process died: {process.end()}") from error
        except Exception as error:
            if isinstance(error, HebbianError):
                raise
            raise HebbianError(f"the evaluating process spoke nonsense: {error}") from error
