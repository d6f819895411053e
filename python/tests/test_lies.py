"""A worker that lies among honest ones."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("grpc")

import objectives

import hebbian

HERE = Path(__file__).parent
SPEC = objectives.told.spec("maximise", generations=40, population_size=64)
WORK = f"import sys; sys.path.insert(0, {str(HERE)!r}); import hebbian, objectives\n"
WORK += "hebbian.work(objectives.told, coordinator=sys.argv[1], name=sys.argv[2], workers=1)"


@contextmanager
def cluster(program, folder, recheck, liars=()):
    """A coordinator and four workers."""
    folder.mkdir()
    (folder / "coordinator.toml").write_text(f"[cluster]\nrecheck = {recheck}\n")
    command = [program, "coordinator", "--config", "coordinator.toml", "--listen", "127.0.0.1:0", "--address-file", "address"]
    processes = []
    with (folder / "log").open("wb") as log:
        processes.append(subprocess.Popen([*command, "--storage", "memory:"], cwd=folder, stderr=log))
        try:
            address = folder / "address"
            while not (address.exists() and address.read_text().strip()):
                assert processes[0].poll() is None, (folder / "log").read_text()
                time.sleep(0.005)
            url = address.read_text().strip()
            for name in ("one", "two", "three", "four"):
                environment = {**os.environ, **({"HEBBIAN_TEST_LIES": "yes"} if name in liars else {})}
                processes.append(subprocess.Popen([sys.executable, "-c", WORK, url, name], env=environment, stderr=log))
            with hebbian.Client(url) as client:
                while len(list(client.workers())) < 4:
                    assert all(process.poll() is None for process in processes), (folder / "log").read_text()
                    time.sleep(0.01)
                yield client
        finally:
            for process in processes:
                process.kill()
                process.wait()


def test_a_liar_is_found_and_the_run_or_its_fork_is_honest(program, tmp_path):
    with cluster(program, tmp_path / "honest", 0.0) as client:
        expected = client.create(SPEC).wait()
    with cluster(program, tmp_path / "lied-to", 0.02, liars={"three"}) as client:
        run = client.create(SPEC)
        found = run.wait()
        excluded = {worker.display_name: worker.excluded for worker in client.workers() if worker.excluded}
        assert list(excluded) == ["three"] and "two others agree" in excluded["three"], excluded
        status = run.status()
        assert any("worker three gave a wrong answer" in note for note in status.notes), status.notes
        # The run itself, or a fork from before the first lie.
        if status.HasField("doubt"):
            clean = status.doubt.clean_generations if status.doubt.HasField("clean_generations") else None
            again = client.create(SPEC, request_id="anew") if clean is None else run.fork(SPEC, generations=clean)
            found = again.wait()
    assert list(found.mean) == list(expected.mean)
