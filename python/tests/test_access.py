"""Tokens, against the program."""

import subprocess

import pytest

pytest.importorskip("grpc")

import objectives

import hebbian
from hebbian.local import Coordinator


def create(program, coordinator, folder, name, role, by=None):
    path = folder / f"{name}.token"
    command = [program, "token", "create", name, "--role", role, "--out", str(path), "--coordinator", coordinator.address]
    subprocess.run([*command, *(["--token-file", str(by)] if by else [])], check=True, stderr=subprocess.DEVNULL)
    return path


@pytest.fixture
def kept(program, tmp_path):
    """A coordinator with a journal, beside which tokens are kept."""
    with Coordinator(tmp_path / "journal") as coordinator:
        yield coordinator


def test_a_token_lets_do_what_its_role_says(kept, program, tmp_path, monkeypatch):
    coordinator = kept
    admin = create(program, coordinator, tmp_path, "admin", "admin")
    eyes = create(program, coordinator, tmp_path, "eyes", "observer", admin)
    with hebbian.Client(coordinator.address) as client, pytest.raises(hebbian.NotPermitted, match="takes a token"):
        client.status()
    with hebbian.Client(coordinator.address, token_file=eyes) as client:
        assert client.status().workers == 0
        with pytest.raises(hebbian.NotPermitted, match="`eyes` has the role observer") as caught:
            client.create({"name": "x"})
        assert caught.value.code == "PERMISSION_DENIED"
    monkeypatch.setenv("HEBBIAN_TOKEN_FILE", str(admin))
    nodes = create(program, coordinator, tmp_path, "nodes", "worker")
    with (
        hebbian.Client(coordinator.address) as client,
        hebbian.Worker(objectives.score, coordinator=coordinator.address, workers=1, token_file=nodes) as worker,
    ):
        assert worker.session.attached.wait(60)
        assert [of.display_name for of in client.workers()]
        revoke = [program, "token", "revoke", "nodes", "--coordinator", coordinator.address]
        subprocess.run(revoke, check=True, stderr=subprocess.DEVNULL)
        while worker.session.trouble is None or "was revoked" not in worker.session.trouble:
            assert not worker.join(0.05)


def test_a_search_shows_its_token(kept, program, tmp_path):
    coordinator = kept
    tokens = {"admin": create(program, coordinator, tmp_path, "admin", "admin")}
    for role in ("operator", "worker", "observer"):
        tokens[role] = create(program, coordinator, tmp_path, role, role, tokens["admin"])
    search = {"coordinator": coordinator.address, "population_size": 4, "generations": 2}
    for token in (None, tokens["observer"]):
        with pytest.raises(hebbian.NotPermitted):
            hebbian.maximise(objectives.score, token_file=token, **search)
        with pytest.raises(hebbian.NotPermitted):
            hebbian.Study(direction="maximise", x=hebbian.real(0.0, deviation=1.0), name="seen", token_file=token, **search)
    with hebbian.Worker(objectives.score, coordinator=coordinator.address, workers=1, token_file=tokens["worker"]):
        apart = hebbian.maximise(objectives.score, token_file=tokens["operator"], **search)
    assert apart.generations == 2
    assert hebbian.minimise(objectives.score, workers=1, token_file=tokens["admin"], **search).generations == 2
    with hebbian.Study(
        direction="maximise", x=hebbian.real(0.0, deviation=1.0), name="told", token_file=tokens["admin"], **search
    ) as study:
        for trial in study:
            study.tell(trial, trial.parameters["x"])


def test_a_token_is_not_sent_where_others_can_read_it(tmp_path, monkeypatch):
    path = tmp_path / "a.token"
    path.write_text("hebbian_00\n")
    with pytest.raises(hebbian.InvalidRequest, match="could read the token"):
        hebbian.Client("http://coordinator.example:7420", token_file=path)
    hebbian.Client("https://coordinator.example:7420", token_file=path).close()
    hebbian.Client("http://127.0.0.1:7420", token_file=path).close()
    monkeypatch.setenv("HEBBIAN_TOKEN_FILE", str(tmp_path / "none"))
    with pytest.raises(hebbian.InvalidRequest, match="token_file"):
        hebbian.Client("http://127.0.0.1:7420")
    for text in ("", "two words", "x" * 2000):
        path.write_text(text)
        with pytest.raises(hebbian.InvalidRequest, match="holds no token"):
            hebbian.Client("http://127.0.0.1:7420", token_file=path)
