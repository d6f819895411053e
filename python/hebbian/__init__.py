"""hebbian for Python: evolve whatever has a fitness, on this machine or on a cluster, and train networks by evolved rules.

What is needed is imported when it is first used: `Rule` needs NumPy alone, the client gRPC.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._objective import Failed, Infeasible, Objective, Parameter, fixed, integer, objective, real
    from .client import Client, Run
    from .clusters import Workers, on_dask, on_ray
    from .connection import Tls
    from .errors import (
        AlreadyExists,
        Busy,
        HebbianError,
        InvalidRequest,
        NotFound,
        NotPermitted,
        RunEnded,
        RunPaused,
        Unavailable,
        WrongState,
    )
    from .optimise import Callback, Result, maximise, minimise
    from .rule import Learner, Rule, RuleError
    from .study import Study, Trial
    from .worker import Worker, work

__version__ = "0.1.0"
_HOMES = {
    "client": ("Client", "Run"),
    "clusters": ("Workers", "on_dask", "on_ray"),
    "connection": ("Tls",),
    "errors": (
        "AlreadyExists",
        "Busy",
        "HebbianError",
        "InvalidRequest",
        "NotFound",
        "NotPermitted",
        "RunEnded",
        "RunPaused",
        "Unavailable",
        "WrongState",
    ),
    "_objective": ("Failed", "Infeasible", "Objective", "Parameter", "fixed", "integer", "objective", "real"),
    "optimise": ("Callback", "Result", "maximise", "minimise"),
    "rule": ("Learner", "Rule", "RuleError"),
    "study": ("Study", "Trial"),
    "worker": ("Worker", "work"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = [
    "AlreadyExists",
    "Busy",
    "Callback",
    "Client",
    "Failed",
    "HebbianError",
    "Infeasible",
    "InvalidRequest",
    "Learner",
    "NotFound",
    "NotPermitted",
    "Objective",
    "Parameter",
    "Result",
    "Rule",
    "RuleError",
    "Run",
    "RunEnded",
    "RunPaused",
    "Study",
    "Tls",
    "Trial",
    "Unavailable",
    "Worker",
    "Workers",
    "WrongState",
    "fixed",
    "integer",
    "maximise",
    "minimise",
    "objective",
    "on_dask",
    "on_ray",
    "real",
    "work",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'hebbian' has no attribute {name!r}")
    value = getattr(_import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value
