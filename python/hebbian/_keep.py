"""The keeper of a worker on a node of somebody else's cluster, and the worker itself where it is one in Python.

Started by `_node.py`. The keeper puts what is secret into files that only this user can read, in a directory that goes with it; starts the
worker; tells how it stands; and ends it, with all that it has started, when it is told so or when whoever holds it is gone.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import pickle
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any

from ._escape import logger
from ._evaluate import cut
from ._node import ATTACHED, DETACHED, DRAINED, FAILED, LEFT, OVER, SLACK, STARTS, Order, Seen

# What the caller says, and the node must not.
_CALLERS = ("HEBBIAN_COORDINATOR", "HEBBIAN_TOKEN_FILE", "HEBBIAN_TLS_", "HEBBIAN__")
# Where the node keeps its data sets is its own matter.
_NODES = ("HEBBIAN__WORKER__DATA",)
# What both kinds of workers say.
_ATTACHED, _DETACHED, _DRAINED = "attached", "not attached to a coordinator: ", "the coordinator has drained this worker"
# What the program says last if it cannot go on.
_ERROR = "hebbian: error: "
# Lines of its log that may say why a worker failed.
_TAIL = 40
# How long the rest of its log is waited for when it has ended.
_LOG_TIMEOUT = 5.0
_PR_SET_CHILD_SUBREAPER = 36


def _adopt() -> None:
    """Makes orphans of this process's descendants its own, where the system can: so all of them are found."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    except (OSError, AttributeError):
        pass


def _children() -> list[int]:
    """The processes below this one, where the system tells."""
    found: list[int] = []
    for thread in Path("/proc/self/task").glob("*/children"):
        try:
            found.extend(int(word) for word in thread.read_text().split())
        except (OSError, ValueError):
            pass
    return found


def _end_children() -> None:
    """Kills what is left of them, and what these leave behind."""
    while children := _children():
        for child in children:
            try:
                os.kill(child, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                pass
        for child in children:
            try:
                os.waitpid(child, 0)
            except ChildProcessError:
                pass


def written(folder: Path, name: str, content: bytes) -> Path:
    """A file that nobody else can read."""
    path = folder / name
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    return path


def _command(paths: list[str], order: Order, folder: Path) -> list[str]:
    """What runs the worker, with its files in a directory."""
    secrets = {name: str(written(folder, name, content)) for name, content in order.secrets.items()}
    if order.objective is not None:
        written(folder, "order", pickle.dumps((paths, order)))
        here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        code = f"import sys; sys.path.insert(0, {here!r}); from hebbian._keep import work; work(sys.argv[1])"
        return [sys.executable, "-c", code, str(folder)]
    from .local import binary

    command = [binary(), "worker", "--coordinator", ",".join(order.coordinators), "--name", order.name]
    command += ["--grace", f"{int(order.grace * 1000)}ms"]
    if order.command is None:
        command += ["--threads", str(order.slots)]
    else:
        command += ["--exec", order.command, "--slots", str(order.slots)]
        command += ["--serves", ",".join(order.serves)] if order.serves else []
    flags = {"token": "--token-file", "ca": "--tls-ca", "certificate": "--tls-certificate", "key": "--tls-key"}
    return command + [word for name, path in secrets.items() for word in (flags[name], path)]


def _environment() -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if name.startswith(_NODES) or not name.startswith(_CALLERS)}
    return {**own, "HEBBIAN__LOG__FORMAT": "json", "HEBBIAN__LOG__FILTER": "info"}


def _message(line: str) -> tuple[str, str] | None:
    """Level and text of a line of a worker's log; none if something else has written it."""
    try:
        entry = json.loads(line)
        return str(entry["level"]), str(entry["message"])
    except (ValueError, TypeError, KeyError):
        return None


class _Keeper:
    """Keeps one worker."""

    def __init__(self, pipe: Connection, paths: list[str], order: Order) -> None:
        self._pipe, self._paths, self._order = pipe, paths, order
        self._seen = Seen(STARTS, host=socket.gethostname(), process=os.getpid())
        # What happens: it is told to leave in so many seconds, or the worker has ended with a code.
        self._happened: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._error = ""
        self._asked = self._drained = False
        self._lock = threading.Lock()

    def _tell(self, state: str, reason: str = "") -> None:
        with self._lock:
            if self._seen.state in OVER:
                return
            self._seen = self._seen._replace(state=state, reason=reason)
            try:
                self._pipe.send(self._seen)
            except OSError:
                # Nobody holds it any more.
                pass

    def _listen(self) -> None:
        try:
            while True:
                self._happened.put(("leave", self._pipe.recv()))
        except (EOFError, OSError):
            self._happened.put(("leave", 0.0))

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stderr is not None
        for content in process.stderr:
            line = content.decode(errors="replace").rstrip()
            entry = _message(line)
            text = line if entry is None else entry[1]
            if text.startswith(_ERROR) or (entry is not None and entry[0] == "ERROR"):
                self._error = text.removeprefix(_ERROR)
            self._tail.append(text)
            try:
                os.write(2, f"hebbian worker {self._order.name}: {text}\n".encode() if entry else content)
            except OSError:
                pass
            if entry is None:
                continue
            if text.startswith(_DETACHED):
                self._tell(DETACHED, cut(text))
            elif text == _DRAINED:
                self._drained = True
            elif text.startswith(_ATTACHED):
                self._tell(ATTACHED)

    def keep(self) -> None:
        """Until the worker has ended."""
        self._tell(STARTS)
        signal.signal(signal.SIGTERM, lambda number, frame: self._happened.put(("leave", self._order.grace)))
        try:
            with tempfile.TemporaryDirectory(prefix="hebbian-") as folder:
                state, reason = self._kept(Path(folder))
        except Exception as error:
            state, reason = FAILED, cut(f"{type(error).__name__}: {error}")
        self._tell(state, reason)

    def _kept(self, folder: Path) -> tuple[str, str]:
        from .local import WATCHED

        command = ["/bin/sh", "-c", WATCHED, "hebbian", *_command(self._paths, self._order, folder)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, env=_environment())
        assert process.stdin is not None
        reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        reader.start()
        threading.Thread(target=self._listen, daemon=True).start()
        threading.Thread(target=lambda: self._happened.put(("ended", process.wait())), daemon=True).start()
        until: float | None = None
        while True:
            try:
                what, figure = self._happened.get(timeout=None if until is None else max(0.0, until - time.monotonic()))
            except queue.Empty:
                until = None
                self._kill(process)
                continue
            if what == "ended":
                break
            # The worker is told to leave when its standard input ends.
            self._asked = True
            process.stdin.close()
            last = time.monotonic() + (figure + SLACK if figure else 0.0)
            until = last if until is None else min(until, last)
        self._kill(process)
        _end_children()
        reader.join(_LOG_TIMEOUT)
        return self._end(int(figure))

    def _kill(self, process: subprocess.Popen[bytes]) -> None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass

    def _end(self, code: int) -> tuple[str, str]:
        """What the end of a worker means."""
        if self._asked:
            return LEFT, ""
        if code == 0:
            return (DRAINED, "") if self._drained else (FAILED, "somebody on its node has ended it")
        # The shell tells signals so.
        number = -code if code < 0 else code - 128
        if number > 0:
            return FAILED, f"it was killed by {signal.Signals(number).name}" if number in list(signal.Signals) else f"exit code {code}"
        said = [line for line in self._tail if line.strip()]
        return FAILED, cut(self._error or (said[-1] if said else "") or f"it ended with exit code {code}")


def main(descriptor: int) -> None:
    """Keeps the worker that is ordered by a pipe; its parent ends at once, so that it belongs to nobody."""
    if os.fork():
        os._exit(0)
    _adopt()
    with Connection(descriptor) as pipe:
        try:
            paths, order = pipe.recv()
        except EOFError:
            return
        _Keeper(pipe, paths, order).keep()


class _Lines(logging.Handler):
    """The log as the program writes it."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "WARN" if record.levelname == "WARNING" else record.levelname
        print(json.dumps({"level": level, "message": record.getMessage()}), file=sys.stderr, flush=True)


def work(folder: str) -> None:
    """Is a worker with what stands in a directory."""
    file = Path(folder) / "order"
    paths, order = pickle.loads(file.read_bytes())
    file.unlink()
    sys.path[:] = paths
    logger.setLevel(logging.INFO)
    logger.addHandler(_Lines())
    logger.propagate = False
    try:
        drained = _worked(order, Path(folder))
    except BaseException as error:
        logger.error("%s", cut(str(error) or type(error).__name__))
        sys.exit(1)
    if drained:
        logger.info(_DRAINED)


def _loaded(content: bytes) -> Any:
    try:
        return pickle.loads(content)
    except BaseException as error:
        raise RuntimeError(f"the objective cannot be loaded on this node: {type(error).__name__}: {error}") from error


def _worked(order: Order, folder: Path) -> bool:
    """Works until it leaves; whether its coordinator has drained it."""
    from .connection import Tls
    from .worker import Worker

    assert order.objective is not None
    objective = _loaded(order.objective)
    secrets = {name: folder / name for name in order.secrets}
    tls = Tls(*(secrets.get(name) for name in ("ca", "certificate", "key")))
    worker = Worker(
        objective,
        coordinator=order.coordinators,
        workers=order.slots,
        name=order.name,
        tls=tls,
        token_file=secrets.get("token"),
    )

    def leave(number: int, frame: FrameType | None) -> None:
        del number, frame
        threading.Thread(target=worker.session.stop, args=(order.grace,), daemon=True).start()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, leave)
    while not worker.join(0.5):
        pass
    return worker.session.drained
