"""hebbian for Python: evolve whatever has a fitness, on this machine or on a cluster, and train networks by evolved rules.

What is needed is imported when it is first used: `Rule` needs NumPy alone, the client gRPC.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Client, Run
    from .connection import Tls
    from .errors import AlreadyExists, Busy, HebbianError, InvalidRequest, NotFound, RunEnded, RunPaused, Unavailable, WrongState
    from .rule import Learner, Rule, RuleError

__version__ = "0.1.0"
_HOMES = {
    "client": ("Client", "Run"),
    "connection": ("Tls",),
    "errors": (
        "AlreadyExists",
        "Busy",
        "HebbianError",
        "InvalidRequest",
        "NotFound",
        "RunEnded",
        "RunPaused",
        "Unavailable",
        "WrongState",
    ),
    "rule": ("Learner", "Rule", "RuleError"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = [
    "AlreadyExists",
    "Busy",
    "Client",
    "HebbianError",
    "InvalidRequest",
    "Learner",
    "NotFound",
    "Rule",
    "RuleError",
    "Run",
    "RunEnded",
    "RunPaused",
    "Tls",
    "Unavailable",
    "WrongState",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'hebbian' has no attribute {name!r}")
    value = getattr(_import_module(f".{_HOME_OF[name]}", __name__), name)
    globals()[name] = value
    return value
