"""A worker's session with coordinators: attach, take evaluations, report them, come back; `docs/PROTOCOL.md` tells how."""

from __future__ import annotations

import json
import queue
import random
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import grpc

from . import v1
from ._escape import logger
from ._evaluate import FAILED, INFEASIBLE, VALUE, Outcome, cut
from ._objective import Objective
from ._pool import Item, Job
from .connection import Connection, Paths, Tls
from .errors import HebbianError, InvalidRequest, refuse

# An outcome is reported after so long at the latest; outcomes that come together travel together. What took half as long to evaluate is
# reported at once: the next one comes no sooner.
_REPORT_DELAY = 0.01
# Settlements of a report, and those that are kept while no coordinator acknowledges.
_REPORT_MAX, _KEPT_MAX = 16_384, 1 << 20
_BACK_OFF_MIN, _BACK_OFF_MAX = 0.05, 1.0
# A stream that lived so long was a good one.
_GOOD_STREAM = 5.0
_WELCOME_TIMEOUT = 10.0
_CLOSE_TIMEOUT = 2.0
_REPEAT_WARNING = 60.0
_DEFAULT_TIME_LIMIT = 3600.0


class Block(NamedTuple):
    """What a report is about."""

    run: str
    generation: int
    purpose: int
    block: int


class Ticket(NamedTuple):
    """Of which stream and block an evaluation is."""

    stream: int
    about: Block


# Gives evaluations to whoever computes them; takes back all that have not begun; takes back those that nobody wants, which also end if they
# have begun.
Add = Callable[[Job, list[Item]], None]
GiveBack = Callable[[], list[Item]]
Discard = Callable[[Callable[[Item], bool]], list[Item]]


class _Run:
    """A run that was announced."""

    def __init__(self, spec: str) -> None:
        problem = json.loads(spec).get("problem")
        if not isinstance(problem, dict) or problem.get("kind") != "external":
            raise ValueError("this worker evaluates external objectives only")
        self.problem = problem
        parameters = problem["parameters"]
        self.fixed = {of["name"]: of["value"] for of in parameters if of["kind"] == "fixed"}
        self.numbers = sum(of.get("length") or 1 for of in parameters if of["kind"] != "fixed")
        self.job = Job(self.fixed, float(problem.get("time_limit_s") or _DEFAULT_TIME_LIMIT))


class Session:
    """What a worker keeps from stream to stream. :meth:`run` works until :meth:`stop`, or until a coordinator drains the worker; it raises
    :class:`InvalidRequest` where a coordinator will never take it."""

    def __init__(
        self,
        objective: Objective,
        coordinators: Sequence[str],
        name: str | None,
        slots: int,
        tls: Tls | None,
        credit: int | None = None,
        token_file: Paths | None = None,
    ) -> None:
        if not coordinators:
            raise InvalidRequest("coordinator: name at least one address", field="coordinator")
        self._objective, self._coordinators, self._tls = objective, list(coordinators), tls
        self._token_file = token_file
        from . import __version__

        self._hello = v1.Hello(
            display_name=name or socket.gethostname() or "python",
            threads=credit or slots,
            version=f"{__version__} (Python)",
            serves=[objective.name],
        )
        self._condition = threading.Condition()
        self._gathered: dict[Block, list[tuple[Item, Outcome, float]]] = {}
        self._kept: deque[v1.Report] = deque()
        self._kept_size = 0
        self._last = 0
        # The stream in use, counted from 1, and what it holds.
        self._stream = 0
        self._held = 0
        self._open: dict[Block, int] = {}
        self._report_at: float | None = None
        self._stop_within: float | None = None
        self._leaving: str | None = None
        #: Outcomes so far.
        self.evaluations = 0
        #: Whether it is attached, and why it was not, the last time.
        self.attached = threading.Event()
        self.trouble: str | None = None
        self.add: Add = lambda job, items: None
        self.give_back: GiveBack = lambda: []
        self.discard: Discard = lambda unwanted: []

    # From other threads

    @property
    def drained(self) -> bool:
        """Whether it leaves, or has left, because a coordinator has drained it."""
        return self._leaving == "drained"

    def stop(self, within: float = 10.0) -> None:
        """Leaves: finishes what has begun, in so many seconds, reports it and gives the rest back."""
        with self._condition:
            if self._stop_within is None or within < self._stop_within:
                self._stop_within = within
            self._condition.notify_all()

    def finished(self, job: Job, outcomes: list[tuple[Item, Outcome, float]]) -> None:
        """Takes over what was evaluated."""
        del job
        with self._condition:
            for entry in outcomes:
                stream, about = entry[0].ticket
                self._gathered.setdefault(about, []).append(entry)
                if stream == self._stream:
                    self._held -= 1
                    self._open[about] -= 1
            self.evaluations += len(outcomes)
            # What completes a block goes at once.
            now = time.monotonic()
            took = sum(seconds for *_, seconds in outcomes)
            delay = _REPORT_DELAY if self._held and took < _REPORT_DELAY / 2 else 0.0
            if any(not self._open.get(entry[0].ticket.about) for entry in outcomes[-1:]):
                delay = 0.0
            self._report_at = min(self._report_at or now + delay, now + delay)
            self._condition.notify_all()

    # Reports

    def _close_reports(self) -> None:
        """Makes reports of what was gathered."""
        gathered, self._gathered, self._report_at = self._gathered, {}, None
        for about, entries in gathered.items():
            for first in range(0, len(entries), _REPORT_MAX):
                part = entries[first : first + _REPORT_MAX]
                self._last += 1
                report = v1.Report(
                    sequence=self._last,
                    run=about.run,
                    generation=about.generation,
                    purpose=about.purpose,  # type: ignore[arg-type]
                    block=about.block,
                    settlements=[_settlement(*entry) for entry in part],
                )
                self._kept.append(report)
                self._kept_size += len(part)
        while self._kept_size > _KEPT_MAX:
            self._kept_size -= len(self._kept.popleft().settlements)

    def _acknowledged(self, sequence: int) -> None:
        while self._kept and self._kept[0].sequence <= sequence:
            self._kept_size -= len(self._kept.popleft().settlements)

    # Streams

    def run(self) -> None:
        """Works; returns when it was stopped or drained."""
        told: float | None = None
        back_off = _BACK_OFF_MIN
        for attempt in range(1 << 62):
            start = time.monotonic()
            try:
                address = self._coordinators[attempt % len(self._coordinators)]
                connection = Connection(address, self._tls, token_file=self._token_file)
                try:
                    if _Stream(self, connection).work():
                        return
                    problem = "the coordinator closed the stream"
                finally:
                    welcomed = self.attached.is_set()
                    self.attached.clear()
                    connection.close()
            except InvalidRequest:
                raise
            except HebbianError as error:
                problem = str(error)
            except grpc.RpcError as error:
                # What is wrong with the greeting is so the next time.
                if error.code() == grpc.StatusCode.INVALID_ARGUMENT and not welcomed:
                    refuse(error, connection.address)
                problem = f"{connection.address}: {error.code().name}: {error.details()}"
            self.trouble = problem
            # What was not begun is given to others; what is being computed is reported on the next stream.
            self.give_back()
            if time.monotonic() - start >= _GOOD_STREAM:
                back_off, told = _BACK_OFF_MIN, None
            if told is None or time.monotonic() - told >= _REPEAT_WARNING:
                told = time.monotonic()
                logger.warning("not attached to a coordinator: %s; the worker keeps trying", problem)
            with self._condition:
                if self._condition.wait_for(lambda: self._stop_within is not None, back_off * random.uniform(0.5, 1.0)):
                    return
            back_off = min(2 * back_off, _BACK_OFF_MAX)


def _settlement(item: Item, outcome: Outcome, seconds: float) -> v1.Settlement:
    settlement = v1.Settlement(candidate=item.candidate, task=item.task)
    settlement.compute_time.nanos = int(seconds % 1 * 1e9)
    settlement.compute_time.seconds = int(seconds)
    kind, figure, scores = outcome
    if kind == VALUE:
        settlement.evaluated.fitness = figure
        if scores:
            settlement.evaluated.scores.extend(scores)
    elif kind == INFEASIBLE:
        settlement.infeasible.violation = figure
    elif kind == FAILED:
        settlement.diverged.SetInParent()
    else:
        settlement.worker_error.reason = cut(figure)
    return settlement


class _Stream:
    """One attached stream."""

    def __init__(self, session: Session, connection: Connection) -> None:
        self._session, self._connection = session, connection
        self._outgoing: queue.SimpleQueue[v1.AttachRequest | None] = queue.SimpleQueue()
        self._runs: dict[str, _Run | None] = {}
        self._ended: list[BaseException | None] = []
        self._sent = 0
        self._leave_by: float | None = None
        with session._condition:
            session._stream += 1
            session._held = 0
            session._open = {}
            session._leaving = None
            self._number = session._stream

    def _requests(self) -> Iterator[v1.AttachRequest]:
        while (request := self._outgoing.get()) is not None:
            yield request

    def _say(self, **kind: Any) -> None:
        self._outgoing.put(v1.AttachRequest(**kind))

    def work(self) -> bool:
        """Works until the stream ends; whether the worker has left for good."""
        session = self._session
        self._say(hello=session._hello)
        call = self._connection.attach(self._requests())
        timer = threading.Timer(_WELCOME_TIMEOUT, call.cancel)
        timer.start()
        try:
            first = next(iter(call), None)
        finally:
            timer.cancel()
        if first is None or first.WhichOneof("kind") != "welcome":
            raise HebbianError(f"{self._connection.address}: its first message was not a welcome")
        welcome = first.welcome
        busy = welcome.heartbeat_interval.ToTimedelta().total_seconds()
        idle = welcome.idle_heartbeat_interval.ToTimedelta().total_seconds()
        session.attached.set()
        logger.info("attached to %s as worker %s", self._connection.address, welcome.worker)
        listener = threading.Thread(target=self._listen, args=(call,), daemon=True)
        listener.start()
        try:
            return self._loop(busy, idle)
        finally:
            self._outgoing.put(None)
            listener.join(_CLOSE_TIMEOUT)
            call.cancel()
            listener.join()

    def _listen(self, call: Any) -> None:
        end: BaseException | None = None
        try:
            for message in call:
                with self._session._condition:
                    self._hear(message)
        except BaseException as error:
            end = error
        with self._session._condition:
            self._ended.append(end)
            self._session._condition.notify_all()

    def _loop(self, busy: float, idle: float) -> bool:
        """Heartbeats and reports, until the stream ends."""
        session, condition = self._session, self._session._condition
        said = time.monotonic()
        with condition:
            session._close_reports()
            self._send_reports()
            while not self._ended:
                now = time.monotonic()
                if session._stop_within is not None and session._leaving is None:
                    self._leave("stopped", session._stop_within)
                if session._report_at is not None and session._report_at <= now:
                    session._close_reports()
                    self._send_reports()
                if session._leaving is not None and (not session._held or (self._leave_by or now) <= now):
                    session._close_reports()
                    self._send_reports()
                    return True
                beat = said + (busy if session._held else idle)
                if beat <= now:
                    self._say(heartbeat=v1.Heartbeat())
                    said, beat = now, now + busy
                wakes = [beat, session._report_at, self._leave_by]
                # While it holds something the interval is shorter than the one that was waited for.
                condition.wait(max(0.0, min(time for time in wakes if time is not None) - now))
        end = self._ended[0]
        if end is None:
            return False
        raise end

    def _send_reports(self) -> None:
        for report in self._session._kept:
            if report.sequence > self._sent:
                self._sent = report.sequence
                self._say(report=report)

    def _leave(self, why: str, within: float) -> None:
        """Takes nothing more and gives back what has not begun."""
        session = self._session
        by = time.monotonic() + within
        self._leave_by = by if self._leave_by is None else min(by, self._leave_by)
        if session._leaving is not None:
            return
        session._leaving = why
        self._say(leaving=v1.Leaving())
        self._give_back(session.give_back())

    def _give_back(self, items: list[Item]) -> None:
        session = self._session
        by_block: dict[Block, list[Item]] = {}
        for item in items:
            # What an earlier stream was given is not held from this one.
            if item.ticket.stream == self._number:
                by_block.setdefault(item.ticket.about, []).append(item)
        for about, given in by_block.items():
            session._held -= len(given)
            session._open[about] -= len(given)
            episodes = [v1.BlockEpisodes.Episode(candidate=item.candidate, task=item.task) for item in given]
            self._say(
                give_back=v1.BlockEpisodes(
                    run=about.run,
                    generation=about.generation,
                    purpose=about.purpose,  # type: ignore[arg-type]
                    block=about.block,
                    episodes=episodes,
                )
            )

    def _hear(self, message: v1.AttachResponse) -> None:
        session = self._session
        kind = message.WhichOneof("kind")
        if kind == "announcement":
            self._announced(message.announcement)
        elif kind == "batch":
            self._taken(message.batch)
        elif kind == "acknowledge":
            session._acknowledged(message.acknowledge.sequence)
        elif kind == "withdraw":
            withdraw = message.withdraw
            last = withdraw.up_to_generation if withdraw.HasField("up_to_generation") else 1 << 32
            self._withdrawn(lambda item: item.ticket.about.run == withdraw.run and item.ticket.about.generation <= last)
        elif kind == "withdraw_episodes":
            unwanted = message.withdraw_episodes
            block = Block(unwanted.run, unwanted.generation, unwanted.purpose, unwanted.block)
            episodes = {(episode.candidate, episode.task) for episode in unwanted.episodes}
            self._withdrawn(lambda item: item.ticket.about == block and (item.candidate, item.task) in episodes)
        elif kind == "drain":
            self._leave("drained", message.drain.within.ToTimedelta().total_seconds())
        elif kind == "evaluation":
            self._runs[message.evaluation.name] = None
            reason = "this worker evaluates external objectives only"
            self._say(reject=v1.Reject(run=message.evaluation.name, reason=reason))
        session._condition.notify_all()

    def _announced(self, announcement: v1.RunAnnouncement) -> None:
        name = announcement.run
        try:
            run = _Run(announcement.spec)
            objective = self._session._objective
            reason = None
            if run.problem["name"] != objective.name:
                reason = f"this worker serves {objective.name!r}, not {run.problem['name']!r}"
            reason = reason or objective.mismatch(run.problem)
        except (KeyError, TypeError, ValueError) as error:
            run, reason = None, f"the spec cannot be read: {error}"
        if reason is not None:
            logger.warning("%s: refused: %s", name, reason)
            self._runs[name] = None
            self._say(reject=v1.Reject(run=name, reason=cut(reason)))
            return
        self._runs[name] = run

    def _taken(self, batch: v1.Batch) -> None:
        session = self._session
        if batch.run not in self._runs:
            raise HebbianError(f"{batch.run}: a batch came before the run was announced")
        run = self._runs[batch.run]
        if run is None:
            # The rejection crosses the batch.
            return
        about = Block(batch.run, batch.generation, batch.purpose, batch.block)
        ticket = Ticket(self._number, about)
        genomes = [(genome.candidate, tuple(genome.parameters)) for genome in batch.genomes]
        if any(len(values) != run.numbers for _, values in genomes):
            raise HebbianError(f"{batch.run}: a candidate does not have {run.numbers} numbers")
        items = []
        for assignment in batch.assignments:
            candidate, values = genomes[assignment.genome]
            items.append(Item(ticket, candidate, assignment.task, assignment.seed, values))
        session._held += len(items)
        session._open[about] = session._open.get(about, 0) + len(items)
        if session._leaving is not None:
            self._give_back(items)
        else:
            session.add(run.job, items)

    def _withdrawn(self, unwanted: Callable[[Item], bool]) -> None:
        session = self._session
        for item in session.discard(unwanted):
            if item.ticket.stream == self._number:
                session._held -= 1
                session._open[item.ticket.about] -= 1
        for about in [about for about, held in session._open.items() if not held]:
            del session._open[about]
