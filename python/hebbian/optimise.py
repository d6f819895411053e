"""From an objective to its best parameters: here, or on a cluster."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, fields
from typing import Any

from . import v1
from ._escape import lines
from ._objective import Objective
from ._plain import shown
from .client import Client, Run
from .connection import Coordinators, Paths, Tls
from .errors import AlreadyExists, HebbianError, RunEnded, RunPaused
from .local import Coordinator
from .worker import Worker, checked, slots_of


@dataclass(frozen=True)
class Result:
    """What a search has found."""

    #: By name, those that are fixed included; arrays where they have a length.
    parameters: dict[str, Any]
    #: The objective's value there, as it was measured again at the end (a mean, if it is noisy). None if nothing could be evaluated.
    value: float | None
    #: The figures beside it.
    scores: dict[str, float]
    #: Of candidates.
    evaluations: int
    generations: int
    #: Why the search ended.
    stopped: str
    #: The run's name.
    run: str
    #: All that the coordinator says of it.
    message: v1.RunResult = field(repr=False)

    def __repr__(self) -> str:
        return lines(f"Result({', '.join(f'{of.name}={getattr(self, of.name)!r}' for of in fields(self) if of.repr)})")


class Callback:
    """What is told of a search while it goes on; make a class of your own with what you want to hear."""

    def started(self, run: Run, spec: Mapping[str, Any]) -> None:
        """The run was created."""

    def generation(self, number: int, figures: Mapping[str, float]) -> None:
        """A generation has closed. The figures: ``best``, ``median``, ``evaluations``, ``step_size``, ``seconds``, ``failed``,
        ``infeasible``, and the best candidate's scores by their names. Those that there are not are left out."""

    def ended(self, result: Result | None) -> None:
        """It has ended; without a result by an exception."""


class _Called(Callback):
    def __init__(self, function: Callable[[int, Mapping[str, float]], None]) -> None:
        self._function = function

    def generation(self, number: int, figures: Mapping[str, float]) -> None:
        self._function(number, figures)


Callbacks = Sequence[Callback | Callable[[int, Mapping[str, float]], None]]


def _value_of(fitness: float, problem: Mapping[str, Any]) -> float:
    """The objective's value that a fitness stands for."""
    # Zero has no sign.
    return 0.0 - fitness if problem["direction"] == "minimise" else fitness


def figures_of(summary: v1.GenerationSummary, problem: Mapping[str, Any]) -> dict[str, float]:
    """A generation's figures, in the objective's own terms."""
    figures = {
        "evaluations": float(summary.evaluations),
        "failed": float(summary.diverged),
        "infeasible": float(summary.infeasible),
        "step_size": summary.search.step_size,
        "seconds": summary.elapsed.seconds + summary.elapsed.nanos / 1e9,
    }
    if summary.HasField("best_fitness"):
        figures["best"] = _value_of(summary.best_fitness, problem)
    if summary.HasField("median_fitness"):
        figures["median"] = _value_of(summary.median_fitness, problem)
    figures.update(zip(problem.get("scores", ()), summary.best_scores))
    return figures


def result_of(run: Run) -> Result:
    """What a run has found: of its mean and its best sample the one that was better when both were measured again."""
    message = run.result()
    problem = json.loads(message.spec)["problem"]
    measured = message.remeasurement
    names = problem.get("scores", ())
    which, value, scores = "mean", None, {}

    def is_measured(of: v1.Remeasurement.Measured) -> bool:
        # Where no evaluation had a value there is a fitness all the same, of zeros.
        return of.diverged + of.infeasible < measured.tasks

    def rank(of: v1.Remeasurement.Measured) -> tuple[bool, float]:
        return of.diverged + of.infeasible == 0, of.fitness.mean if is_measured(of) else -math.inf

    if message.HasField("remeasurement"):
        found = measured.mean
        if measured.HasField("best") and rank(measured.best) > rank(found):
            which, found = "best", measured.best
        if is_measured(found):
            value = _value_of(found.fitness.mean, problem)
            scores = {name: score.mean for name, score in zip(names, found.scores)}
    elif message.HasField("best"):
        which, value = "best", _value_of(message.best.fitness, problem)
    parameters = {}
    values = run.segments("best" if which == "best" else "mean", message)
    for parameter in problem["parameters"]:
        name = parameter["name"]
        if parameter["kind"] == "fixed":
            parameters[name] = parameter["value"]
        elif parameter.get("length"):
            parameters[name] = values[name].astype(int) if parameter["kind"] == "integer" else values[name]
        else:
            number = float(values[name])
            parameters[name] = int(number) if parameter["kind"] == "integer" else number
    stop = message.state.finished
    stopped = f"{stop.criterion}: {stop.detail}" if message.state.HasField("finished") else ""
    last = run.status().last_generation
    return Result(parameters, value, scores, last.evaluations, message.generations, stopped, run.name, message)


def follow(run: Run, problem: Mapping[str, Any], callbacks: Iterable[Callback]) -> Result:
    """Waits for the end of a run and tells callbacks of it."""
    for summary in run.watch():
        figures = figures_of(summary, problem)
        for callback in callbacks:
            callback.generation(summary.generation, figures)
    kind = run.status().state.WhichOneof("kind")
    if kind != "finished":
        raise RunEnded(f"{run.name} {'was cancelled' if kind == 'cancelled' else 'has failed'}")
    return result_of(run)


def _listeners(callbacks: Any) -> list[Callback]:
    """What is told of a search."""
    if isinstance(callbacks, (str, Callback)) or not isinstance(callbacks, Iterable):
        raise TypeError(f"callbacks: must be a list, for example [Progress()], not {shown(callbacks)}")
    listeners: list[Callback] = []
    for place, callback in enumerate(callbacks):
        if isinstance(callback, type) and issubclass(callback, Callback):
            raise TypeError(f"callbacks[{place}]: must be one that was made, {callback.__name__}(..), not its class")
        if not isinstance(callback, Callback) and not callable(callback):
            raise TypeError(f"callbacks[{place}]: must be a function or a hebbian.Callback, not {shown(callback)}")
        listeners.append(callback if isinstance(callback, Callback) else _Called(callback))
    return listeners


def _settings_of(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What a caller has said, by his names."""
    problem, stop = spec["problem"], spec["stop"]
    names = {"target_fitness": "target", "time_limit_s": "time_limit"}
    found = {names.get(key, key): value for key, value in stop.items()}
    found.update({f"strategy.{key}": value for key, value in spec["strategy"].items()}, seed=spec["seed"])
    found.update({key: value for key, value in problem.items() if key not in ("kind", "name", "parameters")})
    for parameter in problem["parameters"]:
        found.update({f"{parameter['name']}.{key}": value for key, value in parameter.items() if key != "name"})
    return found


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """In what a spec differs from that of a run, which has all defaults."""
    was, is_now = _settings_of(before), _settings_of(now)
    told = [f"{name} was {shown(was[name])} and is {shown(is_now[name])}" for name in is_now if name in was and was[name] != is_now[name]]
    told += [f"{name} is new" for name in is_now if name not in was and not name.startswith("strategy.")]
    # Other things that it has alone may be defaults.
    known = {"evaluations", "generations", "target", "time_limit", *(parameter["name"] for parameter in before["problem"]["parameters"])}
    told += [f"{name} was {shown(was[name])}" for name in was if name not in is_now and name.partition(".")[0] in known]
    return "; ".join(told)


def create_again(client: Client, spec: Mapping[str, Any], field: str, place: object) -> Run:
    """Creates a run, or finds the one that was created before by the same words, at a place that an argument names."""
    try:
        return client.create(spec, request_id=f"python/{spec['name']}")
    except AlreadyExists as error:
        told = ""
        # Who may create may not be allowed to look.
        with suppress(HebbianError):
            runs = [run.name for run in client.list() if run.display_name == spec["name"]]
            told = _differences(json.loads(client.run(runs[0]).result().spec), spec) if len(runs) == 1 else ""
        raise AlreadyExists(
            f"{field}: {place} has {spec['name']!r} with other settings already{': ' if told else ''}{told}. "
            f"The same settings go on with it; for other ones say another {'' if field == 'name' else 'directory or '}name",
            field=field,
            code=error.code,
        ) from None


def _optimise(direction: str, score: Objective, options: dict[str, Any]) -> Result:
    checked(score)
    coordinator, workers, directory = options.pop("coordinator"), options.pop("workers"), options.pop("directory")
    callbacks, request_id = options.pop("callbacks"), options.pop("request_id")
    tls, token_file = options.pop("tls"), options.pop("token_file")
    listeners = _listeners(callbacks)
    slots = slots_of(workers)
    if request_id is not None and not isinstance(request_id, str):
        raise TypeError(f"request_id: must be a text, not {shown(request_id)}")
    if all(options[limit] is None for limit in ("evaluations", "generations", "target", "time_limit")):
        raise TypeError(f"{direction}: say when it ends, for example evaluations=1000")
    if coordinator is not None and directory is not None:
        raise TypeError(f"{direction}: directory is for a coordinator of one's own; {coordinator} has its journal elsewhere")
    spec = score.spec(direction, **options)
    result = None
    with ExitStack() as stack:
        address: Coordinators | None = coordinator
        if address is None:
            own = stack.enter_context(Coordinator(directory))
            address = own.address
        client = stack.enter_context(Client(address, tls=tls, token_file=token_file))
        if coordinator is None or workers is not None:
            stack.enter_context(Worker(score, coordinator=address, workers=slots, tls=tls, token_file=token_file))
        if directory is not None and not request_id:
            # The same call again goes on.
            run = create_again(client, spec, "directory", directory)
        else:
            run = client.create(spec, request_id=request_id or str(uuid.uuid4()))
        if coordinator is None and run.status().state.HasField("paused"):
            # Whatever paused it may be gone by now; if not, it pauses again and says so.
            run.resume()
        try:
            for listener in listeners:
                listener.started(run, spec)
            result = follow(run, spec["problem"], listeners)
        except RunPaused as paused:
            if coordinator is not None:
                raise
            # Nobody can resume it: its coordinator ends with this call.
            way = "the same call again goes on there" if directory is not None else "with directory= the same call again would go on there"
            raise RunPaused(run.name, f"{paused.reason} ({way})") from paused
        finally:
            for listener in listeners:
                listener.ended(result)
    return result


def maximise(
    score: Objective,
    *,
    evaluations: int | None = None,
    generations: int | None = None,
    target: float | None = None,
    time_limit: float | None = None,
    workers: int | None = None,
    coordinator: Coordinators | None = None,
    directory: Paths | None = None,
    seed: int = 1,
    strategy: str | Mapping[str, Any] = "cma-es",
    population_size: int | None = None,
    name: str | None = None,
    callbacks: Callbacks = (),
    request_id: str | None = None,
    tls: Tls | None = None,
    token_file: Paths | None = None,
) -> Result:
    """Searches for the parameters of the largest value.

    It ends after so many ``evaluations`` of candidates, ``generations`` or seconds (``time_limit``), or when a candidate's value reaches
    ``target``. Without a ``coordinator`` one is started inside, with so many ``workers`` (processes that evaluate; as many as cores).
    With a ``directory`` that one keeps its journal there, and the same call again goes on where it stopped. With a ``coordinator`` it
    waits for those who evaluate there (:func:`work`), or evaluates with so many ``workers`` itself. The same ``seed`` gives the same
    result, however many workers there are and whatever happens to them. ``strategy``: a name, or the section `strategy` of a spec.

    ``token_file``: a file with a token, for coordinators that control access (without it, that of ``HEBBIAN_TOKEN_FILE``): an operator's,
    or an admin's where it evaluates itself as well. A :class:`Worker` beside it may have a worker's.
    """
    options = dict(locals())
    return _optimise("maximise", options.pop("score"), options)


def minimise(
    score: Objective,
    *,
    evaluations: int | None = None,
    generations: int | None = None,
    target: float | None = None,
    time_limit: float | None = None,
    workers: int | None = None,
    coordinator: Coordinators | None = None,
    directory: Paths | None = None,
    seed: int = 1,
    strategy: str | Mapping[str, Any] = "cma-es",
    population_size: int | None = None,
    name: str | None = None,
    callbacks: Callbacks = (),
    request_id: str | None = None,
    tls: Tls | None = None,
    token_file: Paths | None = None,
) -> Result:
    """Searches for the parameters of the smallest value: :func:`maximise` tells the rest."""
    options = dict(locals())
    return _optimise("minimise", options.pop("score"), options)
