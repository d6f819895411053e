"""Workers on a cluster that somebody has already: `hebbian.on_ray(score, workers=4, ..)`, `hebbian.on_dask(score, workers=4, ..)`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ._node import Order
from ._objective import Objective, checked_name
from ._placed import Engine, Workers
from ._plain import number, shown, whole
from ._pool import pickled
from .connection import Connection, Coordinators, Paths, Tls, addresses_of, is_here, token_file_of
from .errors import InvalidRequest
from .worker import SLOTS_MAX, checked

__all__ = ["Workers", "on_dask", "on_ray"]
# The program takes names of 128 bytes; a worker's has its number, too.
_NAME_BYTES_MAX = 120
# So many workers are placed at most by one call.
_WORKERS_MAX = 10_000


def _name(name: object) -> str:
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name.encode()) <= _NAME_BYTES_MAX:
        raise InvalidRequest(
            f"name: must be a text of 1 to {_NAME_BYTES_MAX} bytes without control characters, not {shown(name)}", field="name"
        )
    return name


def _problems(command: object, serves: object) -> tuple[str, ...]:
    """The names of external problems that a command evaluates."""
    if command is not None and (not isinstance(command, str) or not command.strip()):
        raise TypeError(f"command: must be a text, as `hebbian worker --exec` takes it, not {shown(command)}")
    if not isinstance(serves, Sequence) or isinstance(serves, str) or not all(isinstance(name, str) for name in serves):
        raise TypeError(f"serves: must be a list of names of problems, not {shown(serves)}")
    if serves and command is None:
        raise TypeError("serves: is of workers with a command; give command=, or leave it out")
    for place, name in enumerate(serves):
        try:
            checked_name(name)
        except ValueError as error:
            raise ValueError(f"serves[{place}]: {str(error).removeprefix('name: ')}") from None
    return tuple(serves)


class _Orders:
    """What every worker of a call is to run. Secrets are read for each anew, as workers elsewhere read them before each connection."""

    def __init__(
        self,
        score: Objective | None,
        coordinator: Coordinators | None,
        slots: int,
        name: str,
        command: str | None,
        serves: Sequence[str],
        tls: Tls | None,
        token_file: Paths | None,
        grace: float,
    ) -> None:
        if score is not None and command is not None:
            raise TypeError("command: a worker evaluates an objective or by a command, not both; leave one of them out")
        self.name, self.slots = _name(name), whole("slots", slots, 1, SLOTS_MAX)
        self.grace = float(number("grace", grace))
        if self.grace < 0:
            raise ValueError(f"grace: must be a number of at least 0 (seconds), not {shown(grace)}")
        self._serves, self._command = _problems(command, serves), command
        self._coordinators = tuple(addresses_of(coordinator))
        self._tls = tls if tls is not None else Tls.of_environment()
        self._token_file = token_file_of(token_file)
        for address in self._coordinators:
            # What every connection would refuse.
            Connection(address, self._tls, token_file=self._token_file).close()
        self._objective = None if score is None else pickled(checked(score))
        #: Whether nodes would look for their coordinator on themselves.
        self.loopback = all(is_here(urlsplit(address).hostname) for address in self._coordinators)

    def __call__(self, name: str) -> Order:
        files = {"token": self._token_file, "ca": self._tls.ca, "certificate": self._tls.certificate, "key": self._tls.key}
        secrets = {kind: Path(path).read_bytes() for kind, path in files.items() if path is not None}
        return Order(name, self._coordinators, self.slots, self.grace, self._objective, self._command, self._serves, secrets)


def _placed(engine: Engine, orders: _Orders, workers: int) -> Workers:
    return Workers(engine, orders, workers, orders.name, orders.grace, loopback=orders.loopback)


def on_ray(
    score: Objective | None = None,
    *,
    coordinator: Coordinators | None = None,
    workers: int = 1,
    slots: int = 1,
    name: str = "ray",
    command: str | None = None,
    serves: Sequence[str] = (),
    tls: Tls | None = None,
    token_file: Paths | None = None,
    grace: float = 10.0,
    **options: Any,
) -> Workers:
    """Workers on a Ray cluster, an actor for each. They are kept at that number until :meth:`Workers.stop`, or until the block ends.

    ``score``: what they evaluate; without it they are the program ``hebbian worker``, which computes learning rules, or evaluates by
    ``command`` the problems that ``serves`` names (all, if it names none). ``workers``: how many; ``slots``: how many evaluations (or
    threads, of learning rules) each makes at once. ``coordinator``: an address that the nodes reach. ``token_file``, ``tls``: files of this
    machine; what they hold travels to the nodes. ``name``: they are ``NAME-1``, ``NAME-2``. ``grace``: seconds in which one that leaves
    finishes what it has begun. Everything else is Ray's own, of the actors: ``num_cpus`` (as many as slots, if not given), ``num_gpus``,
    ``resources``, ``runtime_env``.

    The connection to Ray is the one that there is, else ``ray.init(address="auto")``; it is never shut down here.
    """
    from ._ray import RayEngine

    count = whole("workers", workers, 0, _WORKERS_MAX)
    orders = _Orders(score, coordinator, slots, name, command, serves, tls, token_file, grace)
    return _placed(RayEngine(orders.slots, options), orders, count)


def on_dask(
    score: Objective | None = None,
    *,
    coordinator: Coordinators | None = None,
    workers: int = 1,
    slots: int = 1,
    name: str = "dask",
    command: str | None = None,
    serves: Sequence[str] = (),
    tls: Tls | None = None,
    token_file: Paths | None = None,
    grace: float = 10.0,
    client: Any = None,
    resources: Mapping[str, float] | None = None,
    nodes: Sequence[str] | None = None,
) -> Workers:
    """Workers on a Dask cluster, a task for each, which takes one of Dask's threads; all else as :func:`on_ray`.

    ``client``: the ``distributed.Client`` that is used, the current one if it is not given; it is never closed here. ``resources``: what a
    task takes of those that Dask's workers were started with, for example ``{"GPU": 1}``. ``nodes``: addresses of Dask's workers that may
    have one; any, if not given.
    """
    from ._dask import DaskEngine

    count = whole("workers", workers, 0, _WORKERS_MAX)
    orders = _Orders(score, coordinator, slots, name, command, serves, tls, token_file, grace)
    if resources is not None:
        if not isinstance(resources, Mapping):
            raise TypeError(f'resources: must be a dictionary, for example {{"GPU": 1}}, not {shown(resources)}')
        resources = {str(kind): float(number(f"resources.{kind}", amount)) for kind, amount in resources.items()}
    if nodes is not None and (isinstance(nodes, str) or not isinstance(nodes, Sequence) or not nodes):
        raise TypeError(f"nodes: must be a list of addresses of Dask's workers, not {shown(nodes)}")
    return _placed(DaskEngine(client, resources, nodes), orders, count)
