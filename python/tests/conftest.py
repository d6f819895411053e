"""What the tests of clients and workers need: the program, as HEBBIAN_BINARY or an installed wheel brings it."""

import subprocess

import pytest


@pytest.fixture(scope="session")
def program():
    pytest.importorskip("grpc")
    from hebbian import HebbianError
    from hebbian.local import binary

    try:
        return binary()
    except HebbianError as error:
        pytest.skip(str(error))


@pytest.fixture
def coordinator(program):
    from hebbian.local import Coordinator

    with Coordinator() as coordinator:
        yield coordinator


@pytest.fixture
def rules_worker(coordinator, program, tmp_path):
    """A worker that computes learning rules."""
    with (tmp_path / "worker.log").open("wb") as log:
        worker = subprocess.Popen([program, "worker", "--coordinator", coordinator.address, "--threads", "1"], stderr=log)
    yield worker
    worker.kill()
    worker.wait()
