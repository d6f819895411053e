"""Workers on a Dask cluster: a task for each."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ._evaluate import cut
from ._node import FAILED, OVER, Order, Seen, drain_task, hold
from .errors import HebbianError, InvalidRequest

# How often it is asked which of Dask's own workers there are, in seconds.
_NODES_EVERY = 2.0


class _Task:
    """A task, and where it runs."""

    def __init__(self, place: str, future: Any) -> None:
        self.place, self.future = place, future
        self.address: str | None = None


class DaskEngine:
    """What workers need of Dask."""

    kind = "Dask"

    def __init__(self, client: Any, resources: Mapping[str, float] | None, nodes: Sequence[str] | None) -> None:
        try:
            import distributed
        except ImportError as error:
            raise ImportError("on_dask needs Dask: pip install 'hebbian[dask]'") from error
        if client is None:
            try:
                client = distributed.get_client()
            except ValueError as error:
                raise HebbianError("on_dask: there is no Dask client here: make distributed.Client(address), or give client=") from error
        if not isinstance(client, distributed.Client) or client.asynchronous:
            raise InvalidRequest(f"client: must be a distributed.Client that is not asynchronous, not {client!r}", field="client")
        self._client, self._resources, self._nodes = client, resources, nodes
        self.needs = f"resources={dict(resources)}" if resources else "a thread"
        self._topic = f"hebbian-{uuid.uuid4()}"
        self._tasks: dict[str, _Task] = {}
        # Told by Dask's own thread.
        self._news: list[dict[str, Any]] = []
        self._is_news = threading.Event()
        self._asked = 0.0
        client.subscribe_topic(self._topic, self._heard)

    def _heard(self, event: tuple[float, dict[str, Any]]) -> None:
        self._news.append(event[1])
        self._is_news.set()

    def start(self, order: Order) -> _Task:
        """Starts a worker, as soon as there is a place for it."""
        place = f"hebbian-{order.name}-{uuid.uuid4()}"
        future = self._client.submit(
            hold, self._topic, place, order, key=place, pure=False, retries=0, resources=self._resources, workers=self._nodes
        )
        task = self._tasks[place] = _Task(place, future)
        return task

    def look(self, workers: Collection[_Task], timeout: float) -> dict[_Task, Seen]:
        """What is new of them, or nothing when the time is over."""
        found: dict[_Task, Seen] = {}
        self._is_news.wait(timeout)
        self._is_news.clear()
        while self._news:
            told = self._news.pop(0)
            task, address, seen = self._tasks.get(told["place"]), told["address"], Seen(**told["seen"])
            if task is not None and task in workers:
                if task.address not in (None, address):
                    found[task] = self._lost(task)
                elif task not in found or found[task].state not in OVER:
                    task.address, found[task] = address, seen
        for task in workers:
            if task not in found and task.future.status != "pending":
                found[task] = self._ended(task)
        if time.monotonic() - self._asked > _NODES_EVERY:
            nodes = self._client.nthreads()
            self._asked = time.monotonic()
            found.update({task: self._lost(task) for task in workers if task.address and task.address not in nodes and task not in found})
        return found

    def _lost(self, task: _Task) -> Seen:
        return Seen(FAILED, f"Dask's worker {task.address} was lost")

    def _ended(self, task: _Task) -> Seen:
        if task.future.status == "finished":
            return Seen(**task.future.result())
        error = task.future.exception() if task.future.status == "error" else None
        return Seen(FAILED, cut(f"{type(error).__name__}: {error}") if error else f"its task of Dask is {task.future.status}")

    def drain(self, worker: _Task, within: float) -> None:
        """Asks one to leave."""
        # Somebody who is not there any more would be waited for.
        if worker.address in self._client.nthreads():
            self._client.run(drain_task, worker.place, within, workers=[worker.address], on_error="ignore")

    def end(self, worker: _Task) -> None:
        """Gives back its place; kills it if it is still there."""
        del self._tasks[worker.place]
        worker.future.cancel()

    def close(self) -> None:
        """Hears nothing more; the client is the user's."""
        self._client.unsubscribe_topic(self._topic)
