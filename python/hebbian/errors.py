"""What can go wrong when a coordinator is asked something."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc

from ._escape import line, lines


class HebbianError(Exception):
    """Everything that this package raises about coordinators and runs; ``code`` is the gRPC status, where there was one.

    Its text can be shown anywhere. ``message`` is the same as it came, with whatever others wrote into it.
    """

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(lines(message))
        self.message, self.code = message, code


class InvalidRequest(HebbianError):
    """A spec or an argument is not as it must be: ``field`` is its path, for example ``strategy.population_size``."""

    def __init__(self, message: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.field = field


class NotFound(HebbianError):
    """There is no such run or worker: ``resource`` is its name."""

    def __init__(self, message: str, *, resource: str | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.resource = resource


class AlreadyExists(InvalidRequest):
    """The request's id was used for another spec."""


class WrongState(HebbianError):
    """The run is in a state in which this cannot be done."""


class Busy(HebbianError):
    """A limit of the coordinator is reached, or it was asked too often: ``retry_after`` in seconds, where it says so."""

    def __init__(self, message: str, *, retry_after: float | None = None, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after = retry_after


class Unavailable(HebbianError):
    """The coordinator cannot be reached, is stopping, or did not answer in time. ``undone``: it has certainly done nothing."""

    def __init__(self, message: str, *, code: str | None = None, undone: bool = False) -> None:
        super().__init__(message, code=code)
        self.undone = undone


class NotPermitted(HebbianError):
    """The coordinator controls access, and this token or certificate does not let do that: the message says what would."""


class RunPaused(HebbianError):
    """A run waits for an operator: ``reason`` says why, and what would release it."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{line(name)} is paused: {line(reason)}")
        self.name, self.reason = name, reason

    def __reduce__(self) -> tuple[type[RunPaused], tuple[str, str]]:
        """It goes from process to process, as the others do, whose arguments are their text."""
        return type(self), (self.name, self.reason)


class RunEnded(HebbianError):
    """A run ended in another way than by its criteria: it was cancelled, or its records cannot be used."""


def _details(error: grpc.RpcError) -> list[Any]:
    """The google.rpc messages that came with a status."""
    from google.rpc import error_details_pb2, status_pb2

    found = []
    for key, value in error.trailing_metadata() or ():
        if key != "grpc-status-details-bin":
            continue
        try:
            packed = status_pb2.Status.FromString(value).details
        except Exception:
            # What cannot be read says no more than the status itself.
            continue
        for detail in packed:
            kind = getattr(error_details_pb2, detail.type_url.rpartition(".")[2], None)
            if kind is not None and detail.Is(kind.DESCRIPTOR):
                message = kind()
                detail.Unpack(message)
                found.append(message)
    return found


def translated(error: grpc.RpcError, address: str) -> HebbianError:
    """The exception that a status stands for."""
    status, message = error.code(), error.details() or ""
    code = status.name
    details = {type(detail).__name__: detail for detail in _details(error)}
    field = None
    if "BadRequest" in details and details["BadRequest"].field_violations:
        # Of a spec its own path, not that of the request that it came in.
        field = details["BadRequest"].field_violations[0].field.removeprefix("spec.")
    if status in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE):
        return InvalidRequest(message, field=field, code=code)
    if status == grpc.StatusCode.ALREADY_EXISTS:
        return AlreadyExists(message, field=field, code=code)
    if status == grpc.StatusCode.NOT_FOUND:
        resource = details["ResourceInfo"].resource_name if "ResourceInfo" in details else None
        return NotFound(message, resource=resource, code=code)
    if status == grpc.StatusCode.FAILED_PRECONDITION:
        return WrongState(message, code=code)
    if status == grpc.StatusCode.RESOURCE_EXHAUSTED:
        retry = details.get("RetryInfo")
        seconds = None if retry is None else retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
        return Busy(message, retry_after=seconds, code=code)
    if status in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
        return NotPermitted(f"{address}: {message}", code=code)
    if status in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
        # A standby has done nothing; whoever is stopping may have.
        undone = "ErrorInfo" in details and details["ErrorInfo"].reason == "STANDBY"
        return Unavailable(f"{address}: {message}", code=code, undone=undone)
    return HebbianError(f"{address}: {message}", code=code)


def refuse(error: grpc.RpcError, address: str) -> NoReturn:
    """Raises what a status stands for."""
    raise translated(error, address) from None
