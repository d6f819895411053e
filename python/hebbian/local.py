"""The program `hebbian` that the package carries, and a coordinator of one's own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path
from types import TracebackType

from .connection import Paths
from .errors import HebbianError, Unavailable

# Ends the program when whoever started it is gone: then the pipe on its standard input closes.
WATCHED = """
"$@" < /dev/null & program=$!
exec 3<&0
( cat <&3 > /dev/null; kill -TERM $program ) 2> /dev/null &
exec 3<&- < /dev/null
wait $program
"""
_START_TIMEOUT = 60.0
_STOP_TIMEOUT = 30.0


def binary() -> str:
    """The path of the program: ``HEBBIAN_BINARY``, else that of the installed package, else the one on ``PATH``."""
    named = os.environ.get("HEBBIAN_BINARY")
    if named:
        if not os.access(named, os.X_OK):
            raise HebbianError(f"HEBBIAN_BINARY: {named} is no program")
        return named
    schemes = [sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user")]
    # `pip install --target DIR`
    schemes.append(str(Path(__file__).parents[1] / "bin"))
    for folder in schemes:
        path = Path(folder) / "hebbian"
        if os.access(path, os.X_OK):
            return str(path)
    found = shutil.which("hebbian")
    if found is None:
        raise HebbianError("the program `hebbian` is not there: install the wheel, or name it by HEBBIAN_BINARY")
    return found


class Coordinator:
    """A coordinator on a free port of this machine, for this process alone; it ends with it.

    With a directory it keeps its journal there, and goes on where it stopped; without one it forgets everything.
    """

    def __init__(self, directory: Paths | None = None) -> None:
        if directory is not None and not isinstance(directory, (str, os.PathLike)):
            raise TypeError(f"directory: must be a path, not {directory!r}")
        self._private = tempfile.TemporaryDirectory(prefix="hebbian-")
        storage = "memory:"
        if directory is not None:
            folder = Path(directory)
            folder.mkdir(parents=True, exist_ok=True)
            storage = f"sqlite:{folder.absolute() / 'journal.sqlite'}"
        self._storage = storage
        self._start()

    def _start(self) -> None:
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            problem = self._started(deadline)
            if problem is None:
                return
            # The coordinator of a process that was killed may still be leaving its journal.
            if "in use" not in problem or time.monotonic() > deadline:
                self._private.cleanup()
                raise HebbianError(f"the coordinator did not start: {problem}")
            time.sleep(0.1)

    def _started(self, deadline: float) -> str | None:
        """Why it did not start, or none."""
        private = Path(self._private.name)
        address, log = private / "address", private / "log"
        address.unlink(missing_ok=True)
        command = [binary(), "coordinator", "--listen", "127.0.0.1:0", "--address-file", str(address), "--storage", self._storage]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("HEBBIAN__")}
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", WATCHED, "hebbian", *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=file,
                # Ctrl-C is for whoever uses it.
                start_new_session=True,
                cwd=private,
                env=environment,
            )
        while not (address.exists() and address.read_text().strip()):
            if self._process.poll() is not None:
                return log.read_text(errors="replace").strip() or f"it ended with code {self._process.returncode}"
            if time.monotonic() > deadline:
                self._process.kill()
                return f"it does not answer after {_START_TIMEOUT:.0f} s: {log.read_text(errors='replace').strip()}"
            time.sleep(0.005)
        self.address = address.read_text().strip()
        return None

    def check(self) -> None:
        """Raises if it has ended."""
        if self._process.poll() is not None:
            log = (Path(self._private.name) / "log").read_text(errors="replace").strip()
            raise Unavailable(f"the coordinator has ended with code {self._process.returncode}: {log}")

    def stop(self) -> None:
        """Ends it in order."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._private.cleanup()

    def __enter__(self) -> Coordinator:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()
