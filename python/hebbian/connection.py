"""Connections to coordinators: addresses, certificates, calls."""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc

from . import v1
from .errors import HebbianError, InvalidRequest, Unavailable, refuse

DEFAULT_COORDINATOR = "http://127.0.0.1:7420"
# As docs/SECURITY.md has them.
PEER_MESSAGE_BYTES_MAX = 64 << 20
_OPTIONS = [("grpc.max_receive_message_length", PEER_MESSAGE_BYTES_MAX), ("grpc.max_send_message_length", 16 << 20)]
Paths = str | PathLike[str]


@dataclass(frozen=True)
class Tls:
    """Files in PEM for addresses that begin with ``https://``.

    ``ca``: trust coordinators with a certificate of this authority (without it, of the system's). ``certificate`` and ``key``: what
    is shown to a coordinator that wants to know who asks.
    """

    ca: Paths | None = None
    certificate: Paths | None = None
    key: Paths | None = None

    @classmethod
    def of_environment(cls) -> Tls:
        """As the program: ``HEBBIAN_TLS_CA``, ``HEBBIAN_TLS_CERTIFICATE``, ``HEBBIAN_TLS_KEY``."""
        return cls(*(os.environ.get(f"HEBBIAN_TLS_{name}") or None for name in ("CA", "CERTIFICATE", "KEY")))

    def credentials(self) -> grpc.ChannelCredentials:
        """What gRPC wants to know."""
        if (self.certificate is None) != (self.key is None):
            raise InvalidRequest("tls: certificate and key must be given together", field="tls")
        contents = []
        for name, path in (("ca", self.ca), ("key", self.key), ("certificate", self.certificate)):
            try:
                contents.append(None if path is None else Path(path).read_bytes())
            except OSError as error:
                raise InvalidRequest(f"tls.{name}: {error}", field=f"tls.{name}") from error
        return grpc.ssl_channel_credentials(*contents)


# As docs/SECURITY.md has it.
_TOKEN_FILE_BYTES_MAX = 1 << 10


def _token(path: Paths) -> str:
    """The token in a file."""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_TOKEN_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise InvalidRequest(f"token_file: {error}", field="token_file") from error
    token = content.decode("ascii", "replace").strip()
    if len(content) > _TOKEN_FILE_BYTES_MAX or not token or not token.isascii() or any(not "!" <= c <= "~" for c in token):
        raise InvalidRequest(
            f"token_file: {path} holds no token, which is one word, as `hebbian token create` prints it", field="token_file"
        )
    return token


def token_file_of(given: Paths | None) -> Paths | None:
    """The file with a token: what is given, or ``HEBBIAN_TOKEN_FILE``."""
    return given or os.environ.get("HEBBIAN_TOKEN_FILE") or None


def is_here(host: str | None) -> bool:
    """Whether a host is this machine, whose loopback nobody else reads."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def default_coordinator() -> str:
    """``HEBBIAN_COORDINATOR``, or this machine's."""
    return os.environ.get("HEBBIAN_COORDINATOR") or DEFAULT_COORDINATOR


class Connection:
    """A channel to one coordinator. It shows the token in a file: ``token_file``, or that of ``HEBBIAN_TOKEN_FILE``."""

    def __init__(self, address: str, tls: Tls | None = None, timeout: float = 30.0, token_file: Paths | None = None) -> None:
        self.address, self.timeout = address, timeout
        tls = tls if tls is not None else Tls.of_environment()
        parts = urlsplit(address)
        try:
            port, is_port = parts.port, True
        except ValueError:
            port, is_port = None, False
        if not is_port or parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise InvalidRequest(f"coordinator: {address!r} is no address; write it as {DEFAULT_COORDINATOR}", field="coordinator")
        token_file = token_file_of(token_file)
        self._metadata = [] if token_file is None else [("authorization", f"Bearer {_token(token_file)}")]
        if self._metadata and parts.scheme != "https" and not is_here(parts.hostname):
            raise InvalidRequest(
                f"coordinator: {address} is not encrypted, and whoever is on the way could read the token; write https://",
                field="coordinator",
            )
        target = f"{parts.netloc.rpartition('@')[2]}" + ("" if port is not None else ":443" if parts.scheme == "https" else ":80")
        if parts.scheme == "https":
            self.channel = grpc.secure_channel(target, tls.credentials(), options=_OPTIONS)
        elif tls != Tls():
            raise InvalidRequest(
                f"coordinator: {address} is not encrypted, although there are certificates; write https://, or leave them out",
                field="coordinator",
            )
        else:
            self.channel = grpc.insecure_channel(target, options=_OPTIONS)
        self._methods: dict[str, Callable[..., Any]] = {}

    def _method(self, kind: str, service: str, name: str) -> Callable[..., Any]:
        if name not in self._methods:
            make = getattr(self.channel, kind)
            self._methods[name] = make(
                f"/hebbian.v1.{service}/{name}",
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=getattr(v1, f"{name}Response").FromString,
            )
        return self._methods[name]

    def call(self, service: str, name: str, request: Any) -> Any:
        """Asks and waits for the answer; `NAMERequest` is answered by `NAMEResponse`."""
        try:
            return self._method("unary_unary", service, name)(request, timeout=self.timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            refuse(error, self.address)
        except ValueError as error:
            raise HebbianError(f"{self.address}: {error}") from error

    def stream(self, service: str, name: str, request: Any) -> Any:
        """Asks for a stream of answers: an iterator that can be cancelled."""
        return self._method("unary_stream", service, name)(request, metadata=self._metadata)

    def attach(self, requests: Iterator[Any]) -> Any:
        """A worker's stream."""
        return self._method("stream_stream", "DispatchService", "Attach")(requests, metadata=self._metadata)

    def standing(self, timeout: float) -> int | None:
        """What a coordinator says of itself, the best answer the lowest number; none if there is no answer."""
        check = self.channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            # The request's field 1 is a service's name; the answer's field 1 has the value SERVING. Without a name it is about the whole.
            if check(b"", timeout=timeout) == b"\x08\x01":
                return _SERVES
            # A leader answers for its cluster whatever its journal is like, and a standby does not.
            cluster = b"hebbian.v1.ClusterService"
            leads = check(b"\x0a" + bytes([len(cluster)]) + cluster, timeout=timeout) == b"\x08\x01"
            return _LEADS if leads else _WAITS
        except grpc.RpcError as error:
            is_away = error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
            return None if is_away else _WAITS

    def close(self) -> None:
        """Ends all that goes on."""
        self.channel.close()


Coordinators = str | Sequence[str]


def addresses_of(coordinator: Coordinators | None) -> list[str]:
    """The addresses of a list, or of one text with commas; without them those of ``HEBBIAN_COORDINATOR``, or this machine's."""
    given = coordinator or default_coordinator()
    parts = given.split(",") if isinstance(given, str) else given
    if not isinstance(parts, Sequence) or not all(isinstance(part, str) for part in parts):
        raise InvalidRequest(f"coordinator: must be an address or a list of them, not {coordinator!r}", field="coordinator")
    addresses = [part.strip() for part in parts if part.strip()]
    if not addresses:
        raise InvalidRequest(f"coordinator: {coordinator!r} has no address; write it as {DEFAULT_COORDINATOR}", field="coordinator")
    return addresses


# What a coordinator of several says of itself. Who leads though its journal is in trouble can be looked at, and says what is wrong.
_SERVES, _LEADS, _WAITS = range(3)
# For so long one coordinator of several is asked that.
_HEALTH_TIMEOUT = 2.0
# For so long it is waited before all are asked again.
_PAUSE = 0.1
# What would be done twice if it was done when the leader went away; anything else is asked again of the next one.
_ONCE = {"DeleteRun", "ExtendRun", "DrainWorker"}


class Cluster:
    """Coordinators that stand in for each other: whoever leads is asked. One address is asked without a look."""

    def __init__(
        self, coordinator: Coordinators | None, tls: Tls | None = None, timeout: float = 30.0, token_file: Paths | None = None
    ) -> None:
        self._connections = [Connection(address, tls, timeout, token_file) for address in addresses_of(coordinator)]
        self._leader = self._connections[0] if len(self._connections) == 1 else None
        self._timeout = timeout

    @property
    def address(self) -> str:
        """The address of the one that leads, or of all while that is not known."""
        leader = self._leader
        return leader.address if leader else ",".join(connection.address for connection in self._connections)

    def _find(self, deadline: float) -> tuple[int, Connection] | None:
        """Whoever says the best of itself, the first one of them; none if nobody answers."""
        best: tuple[int, Connection] | None = None
        for connection in self._connections:
            left = deadline - time.monotonic()
            standing = connection.standing(min(_HEALTH_TIMEOUT, max(left, 0.1)))
            if standing is not None and (best is None or standing < best[0]):
                best = standing, connection
            if standing == _SERVES:
                break
        return best

    def _leading(self, deadline: float) -> Connection:
        """The one that leads. While there is none, somebody may be about to; at the end it is one that says that it does not."""
        if self._leader is not None:
            return self._leader
        while True:
            found = self._find(deadline)
            if found is not None and found[0] == _SERVES:
                self._leader = found[1]
            if found is not None and found[0] != _WAITS:
                return found[1]
            if time.monotonic() >= deadline:
                if found is None:
                    raise Unavailable(f"{self.address}: none of these coordinators answers", code="UNAVAILABLE")
                return found[1]
            time.sleep(_PAUSE)

    def forget(self) -> None:
        """Looks again, the next time, who leads."""
        if len(self._connections) > 1:
            self._leader = None

    def call(self, service: str, name: str, request: Any) -> Any:
        """Asks and waits for the answer. If the leader goes away meanwhile, what does nothing twice is asked again of the next one."""
        deadline = time.monotonic() + self._timeout
        while True:
            try:
                return self._leading(deadline).call(service, name, request)
            except Unavailable as error:
                self.forget()
                is_safe = name not in _ONCE or error.undone
                if len(self._connections) == 1 or not is_safe or time.monotonic() >= deadline:
                    raise
            time.sleep(_PAUSE)

    def stream(self, service: str, name: str, request: Any) -> Any:
        """Asks for a stream of answers: an iterator that can be cancelled."""
        return self._leading(time.monotonic() + self._timeout).stream(service, name, request)

    def close(self) -> None:
        """Ends all that goes on."""
        for connection in self._connections:
            connection.close()
