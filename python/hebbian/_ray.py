"""Workers on a Ray cluster: an actor for each."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ._evaluate import cut
from ._node import FAILED, OVER, Holder, Order, Seen
from .errors import HebbianError, InvalidRequest

# What of an actor is not the user's to say, since workers are replaced here.
_OURS = ("max_restarts", "max_task_retries", "max_concurrency", "concurrency_groups", "lifetime", "name", "namespace", "get_if_exists")
# How long an actor waits for news before it is asked again.
_LISTEN = 60.0


class _Actor:
    """An actor, and what it was asked last."""

    def __init__(self, actor: Any, news: Any) -> None:
        self.actor, self.news = actor, news


class RayEngine:
    """What workers need of Ray."""

    kind = "Ray"

    def __init__(self, slots: int, options: Mapping[str, Any]) -> None:
        try:
            import ray
        except ImportError as error:
            raise ImportError("on_ray needs Ray: pip install 'hebbian[ray]'") from error
        for name in _OURS:
            if name in options:
                raise InvalidRequest(f"{name}: is not of workers, which are started and replaced here; leave it out", field=name)
        self._ray = ray
        chosen = {"num_cpus": slots, **options}
        try:
            self._class = ray.remote(Holder).options(**chosen, max_restarts=0, max_concurrency=4)
        except (TypeError, ValueError) as error:
            raise InvalidRequest(f"on_ray: {error}") from error
        self.needs = ", ".join(f"{name}={chosen[name]}" for name in ("num_cpus", "num_gpus", "memory", "resources") if chosen.get(name))
        if not ray.is_initialized():
            try:
                ray.init(address="auto", log_to_driver=True)
            except ConnectionError as error:
                raise HebbianError("on_ray: there is no Ray cluster here: call ray.init(address) before, or set RAY_ADDRESS") from error

    def _check(self) -> None:
        # Ray would make another connection by itself, perhaps to a cluster of its own.
        if not self._ray.is_initialized():
            raise HebbianError("the connection to Ray was shut down")

    def start(self, order: Order) -> _Actor:
        """Starts a worker, as soon as there is a place for it."""
        self._check()
        actor = self._class.remote()
        return _Actor(actor, actor.start.remote(order))

    def look(self, workers: Collection[_Actor], timeout: float) -> dict[_Actor, Seen]:
        """What is new of them, or nothing when the time is over."""
        self._check()
        asked = {worker.news: worker for worker in workers}
        ready, _ = self._ray.wait(list(asked), num_returns=1, timeout=timeout, fetch_local=False)
        if ready:
            ready, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=0, fetch_local=False)
        return {asked[news]: self._heard(asked[news]) for news in ready}

    def _heard(self, worker: _Actor) -> Seen:
        try:
            seen: Seen = self._ray.get(worker.news)
        except Exception as error:
            return Seen(FAILED, cut(f"{type(error).__name__}: {error}"))
        if seen.state not in OVER:
            worker.news = worker.actor.next.remote(seen, _LISTEN)
        return seen

    def drain(self, worker: _Actor, within: float) -> None:
        """Asks one to leave."""
        self._check()
        worker.actor.drain.remote(within)

    def end(self, worker: _Actor) -> None:
        """Gives back its place; kills it if it is still there."""
        self._check()
        self._ray.kill(worker.actor)

    def close(self) -> None:
        """Nothing is kept; the connection is the user's."""
