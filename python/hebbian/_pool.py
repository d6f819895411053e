"""Processes that evaluate, one per slot: started, fed, watched, ended and started again."""

from __future__ import annotations

import functools
import io
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import types
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import Pipe
from typing import Any, NamedTuple

import cloudpickle

from ._escape import logger
from ._evaluate import ERROR, Outcome, cut
from ._objective import Objective
from .errors import HebbianError

# How much work a process gets at a time, in seconds and in evaluations.
_CHUNK_SECONDS, _CHUNK_MAX = 0.01, 1024
# Evaluations up to this long are sent to a process before it has answered the last ones: it need not wait while the answer travels.
_AHEAD_SECONDS = 0.05
# What is sent ahead must fit into the pipe while the process computes or says its answer: else both would wait for each other.
_AHEAD_BYTES, _PIPE_BYTES = 1 << 16, 1 << 18
_START_TIMEOUT = 60.0
# From SIGTERM to SIGKILL.
_GRACE = 2.0
_BACK_OFF_MIN, _BACK_OFF_MAX = 0.1, 10.0
# How long what nobody wants any more may go on.
_UNWANTED = 1.0


class _Pickler(cloudpickle.CloudPickler):  # type: ignore[misc]
    """Sends along what others cannot import, functions with a cache as well, and where their code is written."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, functools._lru_cache_wrapper) and obj.__module__ == "__main__":
            return _cached, (obj.__wrapped__, obj.cache_parameters())
        if isinstance(obj, types.CodeType):
            # Some versions leave the file's name out, which is what an exception's place is found by.
            make, arguments = self.dispatch_table[types.CodeType](obj)
            return _written, (obj.co_filename, make, arguments)
        return super().reducer_override(obj)


def _cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Callable[..., Any]:
    cached: Callable[..., Any] = functools.lru_cache(**parameters)(function)
    return cached


def _written(file: str, make: Callable[..., types.CodeType], arguments: tuple[Any, ...]) -> types.CodeType:
    return make(*arguments).replace(co_filename=file)


def pickled(objective: Objective) -> bytes:
    """An objective as it is sent to another process."""
    content = io.BytesIO()
    try:
        _Pickler(content).dump(objective)
    except Exception as error:
        raise HebbianError(f"the objective cannot be sent to another process: {error}") from error
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


Work = tuple[Job, Item, bool]


class _Chunk:
    """What a process is asked at once: evaluations of one job, each with whether it is to be asked alone."""

    def __init__(self, works: list[Work]) -> None:
        self.works = works
        #: Nobody wants any of it any more.
        self.unwanted = False


class _Process:
    """A process that evaluates."""

    def __init__(self, content: bytes, slot: int) -> None:
        self.pipe, theirs = Pipe()
        with socket.socket(fileno=os.dup(self.pipe.fileno())) as end:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIPE_BYTES)
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
        #: What it was sent and has not answered: it computes the first, the others wait in its pipe.
        self.sent: deque[_Chunk] = deque()
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
        self._content = pickled(objective)
        self._finished = finished
        self._condition = threading.Condition()
        self._queue: deque[Work] = deque()
        self._closing = False
        self.slots = slots
        # What each slot has taken.
        self._working: dict[int, list[_Chunk]] = {}
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

    def give_back(self) -> list[Item]:
        """Takes back all evaluations that have not begun; those that have go on."""
        with self._condition:
            taken = [item for _, item, _ in self._queue]
            self._queue.clear()
            return taken

    def discard(self, unwanted: Callable[[Item], bool]) -> list[Item]:
        """Takes back evaluations that have not begun; those that have and are not wanted end a little later."""
        with self._condition:
            taken = [item for _, item, _ in self._queue if unwanted(item)]
            self._queue = deque(entry for entry in self._queue if not unwanted(entry[1]))
            for chunk in (chunk for chunks in self._working.values() for chunk in chunks):
                chunk.unwanted = chunk.unwanted or all(unwanted(item) for _, item, _ in chunk.works)
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

    def _take(self, slot: int) -> _Chunk | None:
        """Waits for work: few evaluations that take long, or many short ones; None when the pool is closed."""
        with self._condition:
            while not self._queue and not self._closing:
                self._condition.wait()
            return None if self._closing else self._taken(slot)

    def _take_ahead(self, slot: int, job: Job) -> _Chunk | None:
        """The same for a process that computes for the job; None where it would begin late, or keep it from those that begin sooner."""
        with self._condition:
            if self._duration is None or self._duration > _AHEAD_SECONDS or self._closing:
                return None
            if len(self._queue) < self.slots or self._queue[0][0] is not job:
                return None
            most = _AHEAD_BYTES // (9 * len(self._queue[0][1].values) + 64)
            return self._taken(slot, most) if most else None

    def _taken(self, slot: int, most: int = _CHUNK_MAX) -> _Chunk:
        size = 1
        if self._duration is not None:
            size = int(min(most, _CHUNK_SECONDS / max(self._duration, 1e-7)))
        # The last ones are shared.
        size = max(1, min(size, -(-len(self._queue) // self.slots)))
        works = [self._queue.popleft()]
        alone = works[0][2]
        while not alone and len(works) < size and self._queue and self._queue[0][0] is works[0][0] and not self._queue[0][2]:
            works.append(self._queue.popleft())
        chunk = _Chunk(works)
        self._working.setdefault(slot, []).append(chunk)
        return chunk

    def _let_go(self, slot: int, chunk: _Chunk) -> None:
        """A slot has nothing to do with a chunk any more."""
        self._working[slot].remove(chunk)
        if not self._working[slot]:
            del self._working[slot]

    def _done(self, slot: int, chunk: _Chunk, answers: list[tuple[Outcome, float]]) -> None:
        with self._condition:
            self._let_go(slot, chunk)
            if answers:
                mean = sum(seconds for _, seconds in answers) / len(answers)
                # A longer one counts at once.
                self._duration = mean if self._duration is None or mean > self._duration else 0.8 * self._duration + 0.2 * mean
        self._finished(chunk.works[0][0], [(item, *answer) for (_, item, _), answer in zip(chunk.works, answers)])

    def _serve(self, slot: int) -> None:
        process: _Process | None = None
        wait = _BACK_OFF_MIN
        while True:
            # What the process was sent in advance, or what there is to do.
            chunk = process.sent[0] if process is not None and process.sent else self._take(slot)
            if chunk is None:
                break
            start = time.monotonic()
            try:
                if process is not None and not process.sent and process.process.poll() is not None:
                    # It died while it had nothing to do: no evaluation is at fault.
                    logger.warning("an idle evaluating process died: %s; another one is started", process.end())
                    process = None
                if process is None:
                    process = _Process(self._content, slot)
                    self._processes[slot] = process.process
                answers = self._ask(process, slot, chunk)
            except HebbianError as error:
                self._failed(slot, chunk, process, str(error), time.monotonic() - start)
                process = None
                with self._condition:
                    self._condition.wait_for(lambda: self._closing, wait)
                wait = min(2 * wait, _BACK_OFF_MAX)
                continue
            wait = _BACK_OFF_MIN
            self._done(slot, chunk, answers)
        if process is not None:
            process.end()

    def _failed(self, slot: int, chunk: _Chunk, process: _Process | None, problem: str, seconds: float) -> None:
        """A process has not answered what it was asked: ends it, and gives others what it has not begun."""
        ahead = [] if process is None else list(process.sent)[1:]
        if process is not None:
            process.end()
        # Of several it is not known which one it was: each by itself tells.
        again = len(chunk.works) > 1 and not self._closing
        with self._condition:
            for other in reversed(ahead):
                self._let_go(slot, other)
                if not self._closing:
                    self._queue.extendleft(reversed(other.works))
            if again:
                self._let_go(slot, chunk)
                self._queue.extendleft((job, item, True) for job, item, _ in reversed(chunk.works))
            self._condition.notify_all()
        if not again:
            self._done(slot, chunk, [((ERROR, cut(problem), None), seconds)])

    def _send(self, process: _Process, chunk: _Chunk) -> None:
        """Sends a chunk to its process."""
        job = chunk.works[0][0]
        fixed = None if process.job is job else job.fixed
        process.job = job
        process.sent.append(chunk)
        process.pipe.send((fixed, [(item.values, item.seed) for _, item, _ in chunk.works]))

    def _ask(self, process: _Process, slot: int, chunk: _Chunk) -> list[tuple[Outcome, float]]:
        """What a process answers; raises if it does not. Meanwhile it is sent what comes next."""
        limit = chunk.works[0][0].time_limit
        unwanted_since: float | None = None
        try:
            if not process.sent:
                self._send(process, chunk)
            deadline = time.monotonic() + limit * len(chunk.works)
            if len(process.sent) == 1 and (ahead := self._take_ahead(slot, chunk.works[0][0])):
                self._send(process, ahead)
            while not process.pipe.poll(0.25 if chunk.unwanted or limit < 1 else min(1.0, limit)):
                now = time.monotonic()
                if self._closing:
                    raise HebbianError("the worker is leaving")
                if process.process.poll() is not None and not process.pipe.poll():
                    # Children that it has left behind may hold the pipe open.
                    raise EOFError
                if now > deadline:
                    raise HebbianError(f"the evaluation took longer than the time limit of {limit:g} s")
                if chunk.unwanted:
                    unwanted_since = unwanted_since or now
                    if now - unwanted_since > _UNWANTED:
                        raise HebbianError("the evaluation is not wanted any more")
            answers: list[tuple[Outcome, float]] = process.pipe.recv()
            process.sent.popleft()
            return answers
        except (EOFError, OSError) as error:
            raise HebbianError(f"the evaluating process died: {process.end()}") from error
        except Exception as error:
            if isinstance(error, HebbianError):
                raise
            raise HebbianError(f"the evaluating process spoke nonsense: {error}") from error
