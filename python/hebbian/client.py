"""A client of a coordinator, for runs of every kind.

client = hebbian.Client("http://localhost:7420")
run = client.create(Path("examples/quickstart.toml"))
for generation in run.watch():
    print(generation.generation, generation.best_fitness)
run.genome()                        # the result, as an array
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import grpc
import numpy as np
from numpy.typing import NDArray

from . import v1
from ._escape import line
from ._genome import parameters_of
from ._plain import plain, shown
from .connection import Cluster, Coordinators, Paths, Tls
from .errors import HebbianError, InvalidRequest, RunEnded, RunPaused, Unavailable, WrongState, translated

# A spec: a dictionary, its text as TOML or JSON, or the path of a file with it.
Spec = Mapping[str, Any] | str | PathLike[str]
_PAGE = 500


def _text(spec: Spec) -> str:
    if isinstance(spec, Mapping):
        try:
            return json.dumps(plain(spec), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InvalidRequest(str(error), field=str(error).partition(": ")[0]) from None
    if isinstance(spec, PathLike):
        return Path(spec).read_text(encoding="utf-8")
    if not isinstance(spec, str):
        raise TypeError(f"spec: must be a dictionary, a text or a path, not {shown(spec)}")
    return spec


class Client:
    """Runs, workers and the state of a coordinator. Without an address it is that of ``HEBBIAN_COORDINATOR``, or this machine's."""

    def __init__(
        self,
        coordinator: Coordinators | None = None,
        *,
        tls: Tls | None = None,
        token_file: Paths | None = None,
        timeout: float = 30.0,
    ) -> None:
        """``coordinator``: an address, or several of coordinators that stand in for each other, as a list or with commas between them;
        the one that leads is asked, and when another one takes over, that one. ``token_file``: a file with a token, for coordinators
        that control access (without it, that of ``HEBBIAN_TOKEN_FILE``). ``timeout``: how many seconds an answer may take."""
        self._connection = Cluster(coordinator, tls, timeout, token_file)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self._connection.close()

    @property
    def coordinator(self) -> str:
        """The coordinator's address; of several that of the one that leads."""
        return self._connection.address

    def _runs(self, name: str, request: Any) -> Any:
        return self._connection.call("RunService", name, request)

    def create(self, spec: Spec, *, request_id: str | None = None, weight: float | None = None, group: str = "") -> Run:
        """Creates a run. The same ``request_id`` with the same spec again gives the same run; without one every call creates another."""
        request = v1.CreateRunRequest(spec=_text(spec), request_id=request_id or str(uuid.uuid4()), weight=weight, group=group)
        return Run(self, self._runs("CreateRun", request).run.name)

    def run(self, name: str) -> Run:
        """A run by its name, ``runs/{run}``."""
        return Run(self, name)

    def list(self) -> Iterator[v1.Run]:
        """How all runs stand, in order of creation."""
        token = ""
        while True:
            response = self._runs("ListRuns", v1.ListRunsRequest(page_size=_PAGE, page_token=token))
            yield from response.runs
            token = response.next_page_token
            if not token:
                return

    def workers(self) -> Iterator[v1.Worker]:
        """The attached workers."""
        token = ""
        while True:
            request = v1.ListWorkersRequest(page_size=_PAGE, page_token=token)
            response = self._connection.call("ClusterService", "ListWorkers", request)
            yield from response.workers
            token = response.next_page_token
            if not token:
                return

    def drain(self, worker: int, *, within: float | None = None) -> v1.Worker:
        """Asks a worker to leave for good; it has so many seconds (10)."""
        request = v1.DrainWorkerRequest(worker=worker)
        if within is not None:
            request.within.FromNanoseconds(int(within * 1e9))
        response: v1.DrainWorkerResponse = self._connection.call("ClusterService", "DrainWorker", request)
        return response.worker

    def status(self) -> v1.CoordinatorStatus:
        """The coordinator as a whole."""
        request = v1.GetCoordinatorStatusRequest()
        response: v1.GetCoordinatorStatusResponse = self._connection.call("ClusterService", "GetCoordinatorStatus", request)
        return response.status


class Run:
    """A run of a coordinator."""

    def __init__(self, client: Client, name: str) -> None:
        self.client, self.name = client, name

    def __repr__(self) -> str:
        return line(f"<hebbian run {self.name} of {self.client.coordinator}>")

    def _ask(self, name: str, request: Any) -> Any:
        return self.client._runs(name, request)

    def status(self) -> v1.Run:
        """How it stands."""
        response: v1.GetRunResponse = self._ask("GetRun", v1.GetRunRequest(name=self.name))
        return response.run

    def pause(self) -> v1.Run:
        """Hands out nothing more until it is resumed."""
        response: v1.PauseRunResponse = self._ask("PauseRun", v1.PauseRunRequest(name=self.name))
        return response.run

    def resume(self) -> v1.Run:
        """Goes on, and forgets the attempts that exhausted an episode."""
        response: v1.ResumeRunResponse = self._ask("ResumeRun", v1.ResumeRunRequest(name=self.name))
        return response.run

    def cancel(self) -> v1.Run:
        """Ends it for ever; what it found can still be read."""
        response: v1.CancelRunResponse = self._ask("CancelRun", v1.CancelRunRequest(name=self.name))
        return response.run

    def delete(self) -> None:
        """Removes it, once it has ended, with all that it found."""
        self._ask("DeleteRun", v1.DeleteRunRequest(name=self.name))

    def extend(self, **limits: float) -> v1.Run:
        """Raises limits, counted from the run's start, by their names in a spec: ``run.extend(generations=500)``."""
        response: v1.ExtendRunResponse = self._ask("ExtendRun", v1.ExtendRunRequest(name=self.name, limits=_text(limits)))
        return response.run

    def note(self, text: str) -> v1.Run:
        """Adds a line to its notes."""
        response: v1.AddRunNoteResponse = self._ask("AddRunNote", v1.AddRunNoteRequest(name=self.name, text=text))
        return response.run

    def fork(self, spec: Spec, *, generations: int | None = None, request_id: str | None = None) -> Run:
        """A new run that begins where this one was after so many closed generations (the last)."""
        request = v1.ForkRunRequest(name=self.name, spec=_text(spec), generations=generations, request_id=request_id or str(uuid.uuid4()))
        return Run(self.client, self._ask("ForkRun", request).run.name)

    def warm_start(self, *, generations: int | None = None) -> str:
        """A spec as TOML whose search begins from the distribution that this run has learned."""
        response: v1.GetWarmStartResponse = self._ask("GetWarmStart", v1.GetWarmStartRequest(name=self.name, generations=generations))
        return response.spec

    def generations(self) -> Iterator[v1.GenerationSummary]:
        """Its closed generations in order."""
        token = ""
        while True:
            request = v1.ListGenerationsRequest(parent=self.name, page_size=_PAGE, page_token=token)
            response = self._ask("ListGenerations", request)
            yield from response.generations
            token = response.next_page_token
            if not token:
                return

    def events(self, *, after: int = 0, patience: float = 60.0) -> Iterator[tuple[int, v1.RunEvent]]:
        """What was committed after a sequence number, with its own, until the run has ended: generations, states, notes, validations.

        No event is missed and none comes twice, also when the coordinator restarts meanwhile, or another one takes over; none may be
        there for ``patience`` seconds.
        """
        since, wait = None, 0.05
        while True:
            stream = None
            try:
                request = v1.WatchRunRequest(name=self.name, after_sequence=after)
                stream = self.client._connection.stream("RunService", "WatchRun", request)
                for response in stream:
                    after, since, wait = response.sequence, None, 0.05
                    yield after, response.event
                return
            except (grpc.RpcError, Unavailable) as error:
                problem = error if isinstance(error, Unavailable) else translated(error, self.client.coordinator)
                self.client._connection.forget()
                now = time.monotonic()
                since = since or now
                if not isinstance(problem, Unavailable) or now - since > patience:
                    raise problem from None
            finally:
                if stream is not None:
                    stream.cancel()
            time.sleep(wait)
            wait = min(2 * wait, 2.0)

    def watch(self, *, after: int = 0) -> Iterator[v1.GenerationSummary]:
        """Its generations, past ones and then each as it closes, until the run has ended. Raises :class:`RunPaused` when it pauses."""
        for _, event in self.events(after=after):
            kind = event.WhichOneof("kind")
            if kind == "generation":
                yield event.generation
            elif kind == "note" or (kind == "state" and event.state.HasField("paused")):
                # It may have been resumed since; and where no worker may go on a note alone says so.
                state = self.status().state
                if state.HasField("paused"):
                    raise RunPaused(self.name, state.paused.reason)

    def wait(self) -> v1.RunResult:
        """Waits until it has ended and gives its result. Raises :class:`RunPaused` if it waits for somebody, and :class:`RunEnded` if it
        was cancelled or failed."""
        for _ in self.watch():
            pass
        result = self.result()
        kind = result.state.WhichOneof("kind")
        if kind == "finished":
            return result
        reason = f": {result.state.failed.reason}" if kind == "failed" else ""
        raise RunEnded(f"{self.name} was {kind}{reason}" if kind == "cancelled" else f"{self.name} has {kind}{reason}")

    def result(self) -> v1.RunResult:
        """What it has found so far."""
        response: v1.GetRunResultResponse = self._ask("GetRunResult", v1.GetRunResultRequest(name=self.name))
        return response.result

    def genome(self, which: Literal["mean", "best"] = "mean") -> NDArray[np.float64]:
        """The mean of its search distribution, which is the result, or its best sample: untransformed numbers."""
        return np.array(_numbers(self.name, self.result(), which))

    def segments(self, which: Literal["mean", "best"] = "mean", result: v1.RunResult | None = None) -> dict[str, NDArray[np.float64]]:
        """The same by the names of its layout, transformed to what a rule computes with, or to an objective's parameters; of a result that
        was asked for before, if there is one."""
        result = result if result is not None else self.result()
        segments = []
        for segment in result.layout.segments:
            kind = segment.transform.WhichOneof("kind")
            if kind is None:
                raise HebbianError(f"{segment.name}: has a transform that this version of the Python package does not know")
            of = getattr(segment.transform, kind)
            fields = of.DESCRIPTOR.fields
            values = {field.name: getattr(of, field.name) for field in fields if not field.has_presence or of.HasField(field.name)}
            segments.append({"name": segment.name, "start": segment.start, "shape": list(segment.shape), "transform": {kind: values}})
        return parameters_of({"segments": segments}, list(_numbers(self.name, result, which)))


def _numbers(name: str, result: v1.RunResult, which: str) -> Sequence[float]:
    """The mean or the best sample of a result."""
    if which == "mean":
        return result.mean
    if which != "best":
        raise ValueError(f"which: must be 'mean' or 'best', not {which!r}")
    if not result.HasField("best"):
        raise WrongState(f"{name} has no best sample before its first generation has closed")
    return result.best.genome
