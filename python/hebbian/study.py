"""Ask and tell, for loops that you have already.

with hebbian.Study("my-study", x=hebbian.real(0.0, deviation=0.5), direction="minimise", evaluations=500) as study:
    for trial in study:
        study.tell(trial, f(trial["x"]))
    print(study.result())
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

from ._escape import lines
from ._evaluate import ERROR, FAILED, INFEASIBLE, Evaluator, Outcome, cut, judged, violation_of
from ._objective import Objective, Parameter, checked_parameters
from ._plain import number, shown, whole
from ._pool import Item, Job
from ._session import Session
from .client import Client
from .connection import Coordinators, Paths, Tls, addresses_of
from .errors import HebbianError, RunEnded
from .local import Coordinator
from .optimise import Result, create_again, result_of
from .worker import SLOTS_MAX

# How often it is looked whether an answer can come at all.
_LOOK = 1.0


class Trial:
    """One evaluation that is asked for."""

    def __init__(self, job: Job, item: Item, parameters: dict[str, Any]) -> None:
        self._job, self._item = job, item
        #: By name.
        self.parameters = parameters
        #: Of this evaluation, for what is random in it: all candidates of a generation meet the same.
        self.seed = item.seed
        self._begun = time.monotonic()
        self._told = False

    @property
    def generation(self) -> int:
        """Counted from 0."""
        generation: int = self._item.ticket.about.generation
        return generation

    @property
    def candidate(self) -> int:
        """The candidate's place in its generation, counted from 0."""
        return self._item.candidate

    def __getitem__(self, name: str) -> Any:
        return self.parameters[name]

    def __repr__(self) -> str:
        return lines(f"<trial {self.candidate} of generation {self.generation}: {self.parameters}>")


class Study:
    """A search that is asked for candidates and told their values.

    It is durable: with a ``directory`` its journal is there, and after a process was killed the next one with the same study gets the same
    trials. With a ``coordinator`` instead, several processes with the same study share its trials.
    """

    def __init__(
        self,
        directory: Paths | None = None,
        /,
        *,
        direction: str,
        coordinator: Coordinators | None = None,
        name: str = "study",
        evaluations: int | None = None,
        generations: int | None = None,
        target: float | None = None,
        time_limit: float | None = None,
        seed: int = 1,
        strategy: str | Mapping[str, Any] = "cma-es",
        population_size: int | None = None,
        noisy: bool = True,
        evaluations_per_candidate: int | None = None,
        scores: Sequence[str] = (),
        parallel: int = 1,
        parameters: Mapping[str, Parameter] | None = None,
        tls: Tls | None = None,
        token_file: Paths | None = None,
        **named: Parameter,
    ) -> None:
        """``parallel``: how many trials are asked for before one is told. ``noisy=False``: the same parameters give the same value.
        ``token_file``: an admin's, for a study creates its run and evaluates it. The rest is that of :func:`hebbian.maximise` and
        :func:`hebbian.objective`."""
        if directory is not None and coordinator is not None:
            raise TypeError(f"directory: is for a study of this process alone; {coordinator} has its journal elsewhere")
        # It is evaluated by whoever asks.
        function: Callable[..., Any] = (lambda seed, **_: seed) if noisy else (lambda **_: None)
        each = evaluations_per_candidate
        options = {} if each is None else {"evaluations_per_candidate": number("evaluations_per_candidate", each)}
        self.objective = Objective(function, name, checked_parameters(named, parameters), scores, options)
        self.objective.takes_seed = bool(noisy)
        parallel = whole("parallel", parallel, 1, SLOTS_MAX)
        spec = self.objective.spec(
            direction,
            name=name,
            seed=seed,
            strategy=strategy,
            population_size=population_size,
            evaluations=evaluations,
            generations=generations,
            target=target,
            time_limit=time_limit,
        )
        self._evaluator = Evaluator(self.objective)
        self._condition = threading.Condition()
        self._waiting: deque[tuple[Job, Item]] = deque()
        self._asked: set[Item] = set()
        self._end: Exception | None = None
        self._is_over = self._closing = False
        self._is_kept = directory is not None or coordinator is not None
        self._stack = ExitStack()
        try:
            self._own = None
            if coordinator is None:
                self._own = self._stack.enter_context(Coordinator(directory))
            address = self._own.address if self._own else coordinator
            assert address is not None
            client = self._stack.enter_context(Client(address, tls=tls, token_file=token_file))
            if directory is not None:
                self.run = create_again(client, spec, "directory", directory)
            else:
                self.run = create_again(client, spec, "name", address)
            self._session = Session(self.objective, addresses_of(address), None, 1, tls, credit=parallel, token_file=token_file)
            self._session.add, self._session.discard = self._add, self._discard
            self._session.give_back = lambda: self._discard(lambda item: True)
            self._threads = [threading.Thread(target=work, daemon=True) for work in (self._work, self._follow)]
        except BaseException:
            self._stack.close()
            raise
        for thread in self._threads:
            thread.start()

    # What the session's threads call

    def _add(self, job: Job, items: list[Item]) -> None:
        with self._condition:
            self._waiting.extend((job, item) for item in items)
            self._condition.notify_all()

    def _discard(self, unwanted: Callable[[Item], bool]) -> list[Item]:
        with self._condition:
            taken = [item for _, item in self._waiting if unwanted(item)]
            self._waiting = deque((job, item) for job, item in self._waiting if not unwanted(item))
            return taken

    def _ended(self, error: Exception | None) -> None:
        with self._condition:
            self._end, self._is_over = error, True
            self._condition.notify_all()

    def _work(self) -> None:
        try:
            self._session.run()
            if not self._closing:
                self._ended(HebbianError(f"{self.run.name}: the coordinator has let this study go"))
        except Exception as error:
            self._ended(error)

    def _follow(self) -> None:
        try:
            for _ in self.run.watch():
                pass
            kind = self.run.status().state.WhichOneof("kind")
            if kind != "finished":
                raise RunEnded(f"{self.run.name} {'was cancelled' if kind == 'cancelled' else 'has failed'}")
            self._ended(None)
        except Exception as error:
            if not self._closing:
                self._ended(error)

    # For its user

    def ask(self, timeout: float | None = None) -> Trial | None:
        """The next trial, or none when the search has ended. Waits for it, so many seconds at the most (:class:`TimeoutError`)."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._condition:
                self._check_open()
                left = _LOOK if deadline is None else min(_LOOK, max(0.0, deadline - time.monotonic()))
                self._condition.wait_for(lambda: bool(self._waiting) or self._is_over, left)
                self._check_open()
                if self._waiting and not self._is_over:
                    job, item = self._waiting.popleft()
                    self._asked.add(item)
                    self._evaluator.use(job.fixed)
                    return Trial(job, item, self._evaluator.arguments(item.values))
                if self._is_over:
                    if self._end is not None:
                        raise self._end
                    return None
                open_trials = len(self._asked)
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(f"no trial within {timeout} s")
            self._look(open_trials)

    def _check_open(self) -> None:
        if self._closing:
            way = "made again by the same words it goes on" if self._is_kept else "it kept nothing"
            raise HebbianError(f"this study was closed: {way}")

    def _look(self, open_trials: int) -> None:
        """Raises where nothing will ever come."""
        if self._own is None:
            return
        self._own.check()
        if not open_trials:
            return
        status = self.run.status()
        with self._condition:
            same = len(self._asked) == open_trials and not self._waiting and not self._is_over
        if same and status.settled_episodes + open_trials >= status.generation_episodes:
            raise HebbianError(f"all {open_trials} trials that are left of this generation were asked for: tell their values first")

    def tell(
        self,
        trial: Trial,
        value: float | None = None,
        *,
        scores: Mapping[str, float] | None = None,
        failed: str | None = None,
        infeasible: float | None = None,
    ) -> None:
        """Tells how a trial ended: its ``value`` with its ``scores`` (NaN: it failed), why it ``failed``, or how far it is from what is
        allowed (``infeasible``)."""
        if not isinstance(trial, Trial):
            raise TypeError(f"trial: must be what ask gave, not {shown(trial)}")
        self._check_open()
        if trial._told:
            raise ValueError(f"{trial!r} was told already")
        if sum(given is not None for given in (value, failed, infeasible)) != 1:
            raise TypeError("tell: needs one of value, failed and infeasible")
        outcome: Outcome
        if failed is not None:
            if not isinstance(failed, str):
                raise TypeError(f"failed: must be a text that says why, not {shown(failed)}")
            outcome = FAILED, cut(failed), None
        elif infeasible is not None:
            violation = violation_of(infeasible)
            if violation is None:
                raise ValueError(f"infeasible: must be a number of at least 0, not {shown(infeasible)}")
            outcome = INFEASIBLE, violation, None
        else:
            if scores is not None and not isinstance(scores, Mapping):
                raise TypeError(f"scores: must be a dictionary from names to numbers, not {shown(scores)}")
            outcome = judged(value if scores is None else (value, scores), self.objective.scores)
            if outcome[0] == ERROR:
                raise ValueError(outcome[1])
        trial._told = True
        with self._condition:
            self._asked.discard(trial._item)
        self._session.finished(trial._job, [(trial._item, outcome, time.monotonic() - trial._begun)])

    def __iter__(self) -> Iterator[Trial]:
        """Trials until the search has ended; each is to be told before the next one."""
        while (trial := self.ask()) is not None:
            yield trial

    def result(self) -> Result:
        """What it has found so far."""
        self._check_open()
        return result_of(self.run)

    def close(self) -> None:
        """Leaves: what was told is reported, what was not is asked of the next one."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
        self._session.stop(0.0 if not self._asked else 0.1)
        self._threads[0].join()
        self._stack.close()
        self._threads[1].join(5)

    def __enter__(self) -> Study:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
