"""Objectives: what is evaluated, by which parameters.

@hebbian.objective(x=hebbian.real(0.0, deviation=0.5), layers=hebbian.integer(1, 8))
def score(x, layers, seed):
    return -(x - 1.0) ** 2 - 0.1 * (layers - 3) ** 2
"""

from __future__ import annotations

import inspect
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from importlib import import_module
from typing import Any

from ._escape import line
from ._plain import is_flag, number, plain, shown, whole

# What a name of an objective may be; the program says the same.
_NAME, _NAME_MAX = re.compile(r"[a-z0-9][-a-z0-9_.]*"), 64
# Whole numbers that are fixed: what JSON brings unchanged everywhere.
_WHOLE_MAX = 1 << 53


class Failed(Exception):
    """This candidate cannot be evaluated: a fact about it, as NaN is. Any other exception is the trouble of whoever evaluates."""


class Infeasible(Exception):
    """This candidate is not allowed; ``violation`` says how far it is from what is (0 or above, lower is better). It is ranked behind all
    candidates that are allowed."""

    def __init__(self, violation: float) -> None:
        super().__init__(violation)
        self.violation = violation


@dataclass(frozen=True)
class Parameter:
    """A parameter as a spec has it: made by :func:`real`, :func:`integer` and :func:`fixed`."""

    kind: str
    fields: Mapping[str, Any]

    def spec(self, name: str) -> dict[str, Any]:
        """Its table in a spec."""
        return {"name": name, "kind": self.kind, **{key: value for key, value in self.fields.items() if value is not None}}


def _numbers(kind: str, **given: Any) -> dict[str, int | float | None]:
    """Settings of a parameter, those that are not given left out."""
    return {name: None if value is None else number(f"{kind}: {name}", value) for name, value in given.items()}


def _length(kind: str, length: int | None) -> int | None:
    return None if length is None else whole(f"{kind}: length", length, 1)


def real(
    initial: float | None = None,
    *,
    deviation: float | None = None,
    low: float | None = None,
    high: float | None = None,
    log: bool = False,
    length: int | None = None,
) -> Parameter:
    """A real number. ``deviation`` is that of the first samples around ``initial``; with both bounds both have defaults.

    With ``log`` the logarithm is searched, and the deviation is that of the natural logarithm (1 is a factor of 2.7). With ``length`` it
    is so many numbers alike, an array.
    """
    scale = "log" if log else None
    for name, bound in (("low", low), ("high", high)):
        if isinstance(bound, float) and math.isinf(bound):
            raise ValueError(f"real: {name}: must be a finite number, not {bound}; without it there is no bound")
    numbers = _numbers("real", initial=initial, deviation=deviation, low=low, high=high)
    return Parameter("real", {**numbers, "scale": scale, "length": _length("real", length)})


def integer(low: int, high: int, *, initial: float | None = None, deviation: float | None = None, length: int | None = None) -> Parameter:
    """A whole number from ``low`` to ``high``, both included. With ``length`` so many, an array."""
    bounds = {"low": number("integer: low", low), "high": number("integer: high", high)}
    numbers = _numbers("integer", initial=initial, deviation=deviation)
    return Parameter("integer", {**bounds, **numbers, "length": _length("integer", length)})


def fixed(value: bool | int | float | str) -> Parameter:
    """A value that is not searched; every evaluation gets it."""
    if is_flag(value):
        return Parameter("fixed", {"value": bool(value)})
    if not isinstance(value, str):
        value = number("fixed", value, "a number, a text, true or false")
        if isinstance(value, int) and abs(value) > _WHOLE_MAX:
            raise ValueError(f"fixed: must be a whole number from -2^53 to 2^53, or a float or a text, not {shown(value)}")
    return Parameter("fixed", {"value": value})


def checked_name(name: Any) -> str:
    """The name of an objective."""
    if isinstance(name, str) and len(name) <= _NAME_MAX and _NAME.fullmatch(name):
        return name
    if callable(name):
        raise TypeError("objective: needs its parameters: write @hebbian.objective(x=hebbian.real(0.0, deviation=1.0), ...)")
    rule = f"1 to {_NAME_MAX} characters of a-z, 0-9, `-`, `_` and `.`, the first a letter or a digit"
    raise (ValueError if isinstance(name, str) else TypeError)(f"name: must be {rule}, not {shown(name)}")


def checked_scores(scores: Any) -> tuple[str, ...]:
    """Names of the figures beside a value."""
    if isinstance(scores, str) or not isinstance(scores, Iterable):
        raise TypeError(f'scores: must be a list of names, for example ["steps"], not {shown(scores)}')
    names = tuple(scores)
    for place, name in enumerate(names):
        if not isinstance(name, str):
            raise TypeError(f"scores[{place}]: must be a name, not {shown(name)}")
    return names


def checked_parameters(named: Mapping[str, Any], parameters: Any) -> dict[str, Parameter]:
    """Those that are named and those of a dictionary."""
    if parameters is not None and not isinstance(parameters, Mapping):
        raise TypeError(f"parameters: must be a dictionary from names to parameters, not {shown(parameters)}")
    together = {**named, **(parameters or {})}
    for key, value in together.items():
        if not isinstance(key, str):
            raise TypeError(f"parameters: its names must be texts, not {shown(key)}")
        if not isinstance(value, Parameter):
            raise TypeError(f"{line(key)}: must be made by hebbian.real, integer or fixed, not {shown(value)}")
    return together


class Objective:
    """A function with its parameters: made by :func:`objective`. Calling it calls the function."""

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None,
        parameters: Mapping[str, Parameter],
        scores: Sequence[str],
        options: Mapping[str, Any],
    ) -> None:
        update_wrapper(self, function)
        self.function, self.parameters, self.scores, self.options = function, dict(parameters), checked_scores(scores), dict(options)
        own = re.sub(r"[^a-z0-9._-]+", "-", getattr(function, "__name__", "").lower()).strip("-._")[:_NAME_MAX]
        #: What workers say that they serve.
        self.name = (own or "objective") if name is None else checked_name(name)
        #: Whether the function wants to know the seed of an evaluation; without it, it is taken for one without noise.
        self.takes_seed = "seed" in _arguments(function, self.parameters)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        return self.function(*arguments, **named)

    def __reduce__(self) -> Any:
        # By its name, where others can import it; else with all that it needs.
        module = getattr(self, "__module__", None)
        path = getattr(self, "__qualname__", "")
        found: Any = sys.modules.get(module or "")
        for part in path.split("."):
            found = getattr(found, part, None)
        if found is self and module != "__main__":
            return _imported, (module, path)
        return Objective, (self.function, self.name, self.parameters, self.scores, self.options)

    def _population_size(self, *, integers_count: bool) -> int:
        """Hansen's default, in pairs; pycma's where there are integers and the strategy searches them as such."""
        lengths = [(parameter.kind, parameter.fields.get("length") or 1) for parameter in self.parameters.values()]
        numbers = max(sum(length for kind, length in lengths if kind != "fixed"), 1)
        integers = sum(length for kind, length in lengths if kind == "integer") if integers_count else 0
        size = 6 + 3 * (math.log(numbers) + math.log(integers)) if integers else 4 + 3 * math.log(numbers)
        return 2 * math.ceil(math.floor(size) / 2)

    def spec(
        self,
        direction: str,
        *,
        name: str | None = None,
        seed: int = 1,
        strategy: str | Mapping[str, Any] = "cma-es",
        population_size: int | None = None,
        evaluations: int | None = None,
        generations: int | None = None,
        target: float | None = None,
        time_limit: float | None = None,
    ) -> dict[str, Any]:
        """The spec of a run that searches with it: ``direction`` is ``"maximise"`` or ``"minimise"``."""
        if not isinstance(strategy, (str, Mapping)):
            expected = 'a name, for example "cma-es", or a dictionary as the section `strategy` of a spec'
            raise TypeError(f"strategy: must be {expected}, not {shown(strategy)}")
        settings: dict[str, Any] = {"kind": strategy} if isinstance(strategy, str) else plain(strategy, "strategy")
        kind = settings.get("kind", "cma-es")
        if kind in ("cma-es", "sep-cma-es", "pgpe", "openai-es", "one-plus-lambda", "random-search"):
            # So that a parameter's deviation is that of the first samples.
            settings.setdefault("step_size", 1.0)
        if kind == "cma-es" and not self.takes_seed:
            settings.setdefault("noise", "none")
        if population_size is not None:
            settings["population_size"] = number("population_size", population_size)
        settings.setdefault("population_size", self._population_size(integers_count=kind == "cma-es"))
        stop = {
            "evaluations": None if evaluations is None else number("evaluations", evaluations),
            "generations": None if generations is None else number("generations", generations),
            "target_fitness": None if target is None else number("target", target),
            "time_limit_s": None if time_limit is None else number("time_limit", time_limit),
        }
        problem = {
            "kind": "external",
            "name": self.name,
            "direction": direction,
            **self.options,
            **({"scores": list(self.scores)} if self.scores else {}),
            "parameters": [parameter.spec(name) for name, parameter in self.parameters.items()],
        }
        limits = {key: value for key, value in stop.items() if value is not None}
        return {"name": name or self.name, "seed": number("seed", seed), "strategy": settings, "problem": problem, "stop": limits}

    def serve(self) -> None:
        """Is the program that ``hebbian worker --exec 'python objective.py'`` starts: it answers what its standard input asks.

        Nothing may be printed before; what the objective prints goes to standard error.
        """
        from ._serve import serve

        serve(self)

    def mismatch(self, problem: Mapping[str, Any]) -> str | None:
        """Why it cannot evaluate what a spec's section ``problem`` says, or none."""
        wanted = {parameter["name"]: (parameter["kind"], parameter.get("length")) for parameter in problem.get("parameters", ())}
        known = {name: (parameter.kind, parameter.fields.get("length")) for name, parameter in self.parameters.items()}
        if wanted != known:
            return f"problem.parameters: this worker's {self.name!r} has {_told(known)}, not {_told(wanted)}"
        scores = tuple(problem.get("scores", ()))
        if scores != self.scores:
            return f"problem.scores: this worker's {self.name!r} gives {list(self.scores)}, not {list(scores)}"
        return None


def _told(parameters: Mapping[str, tuple[str, int | None]]) -> str:
    return ", ".join(f"{name} ({kind}{'' if length is None else f' x {length}'})" for name, (kind, length) in parameters.items())


def _imported(module: str, path: str) -> Any:
    found: Any = import_module(module)
    for part in path.split("."):
        found = getattr(found, part)
    return found


def _arguments(function: Callable[..., Any], parameters: Mapping[str, Parameter]) -> set[str]:
    """The names that a function can be called with, which must have all parameters."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        # Of some functions in C nothing is known.
        return {*parameters, "seed"}
    takes = {of.name for of in signature.parameters.values() if of.kind in (of.POSITIONAL_OR_KEYWORD, of.KEYWORD_ONLY)}
    takes_all = any(of.kind == of.VAR_KEYWORD for of in signature.parameters.values())
    needs = {name for name in takes if signature.parameters[name].default is inspect.Parameter.empty} - {"seed"}
    missing = [] if takes_all else sorted(set(parameters) - takes)
    if missing:
        raise TypeError(f"objective: the function takes no argument {missing[0]!r}")
    unknown = sorted(needs - set(parameters))
    if unknown:
        raise TypeError(f"objective: the function's argument {unknown[0]!r} is no parameter; give it one, for example hebbian.real(0.0)")
    return {*takes, "seed"} if takes_all else takes


def objective(
    name: str | None = None,
    /,
    *,
    scores: Sequence[str] = (),
    evaluations: int | None = None,
    seeds: Sequence[int] | None = None,
    time_limit: float | None = None,
    recheck: Mapping[str, float] | None = None,
    noisy: bool = False,
    parameters: Mapping[str, Parameter] | None = None,
    **named: Parameter,
) -> Callable[[Callable[..., Any]], Objective]:
    """Makes an objective of a function whose arguments are the parameters, and ``seed`` if it wants one.

    The function gives a number; or a number and a dictionary with the figures that ``scores`` names. It raises :class:`Failed` if the
    candidate cannot be evaluated (NaN says the same), :class:`Infeasible` if it is not allowed.

    ``name``: what workers serve, the function's name if not given. ``evaluations``: how often each candidate is evaluated, each time with a
    seed of its own, or with those of ``seeds``. ``time_limit``: seconds of one evaluation. ``recheck``: how far apart two
    honest answers may be, ``{"absolute": 1e-9, "relative": 1e-6}``, where a coordinator looks for workers that lie; ``noisy``: an
    evaluation that is made again may give anything else. ``parameters``: those whose names mean something else here.
    """
    if name is not None:
        checked_name(name)
    given_options = {
        "scores": scores,
        "evaluations": evaluations,
        "seeds": seeds,
        "time_limit": time_limit,
        "recheck": recheck,
        "noisy": noisy,
    }
    for key, option in given_options.items():
        if isinstance(option, Parameter):
            raise TypeError(f"objective: {key}: means something else here; name such a parameter in parameters={{{key!r}: ...}}")
    all_parameters = checked_parameters(named, parameters)
    if not all_parameters:
        raise TypeError("objective: needs at least one parameter, for example x=hebbian.real(0.0, deviation=1.0)")
    if seeds is not None and not hasattr(seeds, "__len__"):
        raise TypeError(f"seeds: must be a list of whole numbers, not {shown(seeds)}")
    if seeds is not None and len(seeds) == 0:
        raise ValueError("seeds: must have at least one; without it each generation has fresh ones")
    if recheck is not None and not isinstance(recheck, Mapping):
        raise TypeError(f'recheck: must be a dictionary, for example {{"absolute": 1e-9}}, not {shown(recheck)}')
    options = {
        "evaluations_per_candidate": None if evaluations is None else number("evaluations", evaluations),
        "seeds": None if seeds is None else [number(f"seeds[{place}]", seed) for place, seed in enumerate(seeds)],
        "time_limit_s": None if time_limit is None else number("time_limit", time_limit),
        "recheck": None if recheck is None else plain(recheck, "recheck"),
        "noisy": bool(noisy) or None,
    }
    names = checked_scores(scores)

    def decorate(function: Callable[..., Any]) -> Objective:
        given = {key: value for key, value in options.items() if value is not None}
        return Objective(function, name, all_parameters, names, given)

    return decorate
