"""What others named is shown and means nothing, wherever the package shows it."""

import io
import json
import logging
import pickle
import re
import sys
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

grpc = pytest.importorskip("grpc")

from google.rpc import error_details_pb2, status_pb2

import hebbian
from hebbian import v1
from hebbian._escape import line, lines, logger
from hebbian._evaluate import Evaluator
from hebbian.callbacks import Progress
from hebbian.client import Run
from hebbian.rule import FORMAT, Rule, RuleError

# A title, a cleared line, a reversed name, an invisible tag, a C1 control, a filler, and what is none of that.
HOSTILE = "a\x1b]0;title\x07b\rc\u202ed\u200be\U000e0041f\x9b2Jg\u3164h\xe9\u4f60"
SHOWN = "a\\u{1b}]0;title\\u{7}b\\rc\\u{202e}d\\u{200b}e\\u{e0041}f\\u{9b}2Jg\\u{3164}h\xe9\u4f60"
RUST = Path(__file__).parents[2] / "view" / "src" / "escape.rs"


def is_plain(text):
    return lines(text) == text


def test_the_characters_are_those_of_the_program():
    body = RUST.read_text(encoding="utf-8").partition("pub fn is_hostile")[2].partition("\n}\n")[0]
    assert "c.is_control()" in body
    told = {*range(0x20), *range(0x7F, 0xA0)}
    for first, last in re.findall(r"'\\u\{(\w+)\}'(?:\.\.='\\u\{(\w+)\}')?", body):
        told.update(range(int(first, 16), int(last or first, 16) + 1))
    found = {code for code in range(sys.maxunicode + 1) if line(chr(code)) != chr(code)}
    assert found == told, sorted(map(hex, found ^ told))


def test_they_are_spelled_as_the_program_does():
    assert line(HOSTILE) == lines(HOSTILE) == SHOWN and line(SHOWN) == SHOWN
    assert line("a\nb\tc\r\n") == "a\\nb\\tc\\r\\n" and lines("a\nb\tc\r\n") == "a\nb\tc\\r\n"


@contextmanager
def answering(status, text, *details):
    """A coordinator that refuses whatever it is asked."""
    packed = status_pb2.Status(code=status.value[0], message=text)
    for detail in details:
        packed.details.add().Pack(detail)

    def refuse(request, context):
        context.set_trailing_metadata([("grpc-status-details-bin", packed.SerializeToString())])
        context.abort(status, text)

    server = grpc.server(futures.ThreadPoolExecutor(2))
    kinds = {"unary_unary": ("GetRun", "CreateRun"), "unary_stream": ("WatchRun",)}
    handlers = {name: getattr(grpc, f"{kind}_rpc_method_handler")(refuse) for kind, names in kinds.items() for name in names}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("hebbian.v1.RunService", handlers)])
    address = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        with hebbian.Client(address) as client:
            yield client
    finally:
        server.stop(0).wait()


def test_what_a_server_says_is_shown_and_can_be_had_as_it_came():
    resource = error_details_pb2.ResourceInfo(resource_name=HOSTILE)
    with answering(grpc.StatusCode.NOT_FOUND, f"no run {HOSTILE}", resource) as client:
        for ask in (client.run("x").status, lambda: list(client.run("x").events())):
            with pytest.raises(hebbian.NotFound) as caught:
                ask()
            error = caught.value
            assert str(error) == f"no run {SHOWN}" and error.message == f"no run {HOSTILE}" and error.resource == HOSTILE
            again = pickle.loads(pickle.dumps(error))
            assert (str(again), again.message, again.resource) == (str(error), error.message, HOSTILE)
    field = error_details_pb2.BadRequest(field_violations=[{"field": f"spec.{HOSTILE}", "description": "unknown"}])
    with answering(grpc.StatusCode.INVALID_ARGUMENT, f"{HOSTILE}: unknown", field) as client:
        with pytest.raises(hebbian.InvalidRequest) as caught:
            client.create({"name": "x"})
        assert str(caught.value) == f"{SHOWN}: unknown" and caught.value.field == HOSTILE
    for status in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.DATA_LOSS, grpc.StatusCode.FAILED_PRECONDITION):
        with answering(status, HOSTILE) as client, pytest.raises(hebbian.HebbianError) as caught:
            client.run("x").status()
        assert str(caught.value).endswith(SHOWN)


def test_names_and_reasons_of_runs_are_within_a_line():
    paused = hebbian.RunPaused("runs/\u202e1", "lost\nTraceback\x1b[2J")
    assert str(paused) == "runs/\\u{202e}1 is paused: lost\\nTraceback\\u{1b}[2J" and paused.reason == "lost\nTraceback\x1b[2J"
    assert repr(Run(SimpleNamespace(coordinator="here"), HOSTILE)) == f"<hebbian run {SHOWN} of here>"
    result = hebbian.Result({"x\u3164": "\u1160"}, None, {}, 1, 1, HOSTILE, "runs/1", v1.RunResult())
    assert is_plain(repr(result)) and "x\\u{3164}" in repr(result) and repr(result).endswith("run='runs/1')")


def test_names_in_arguments_are_shown():
    spec = {"strategy": {"sigma\u202e": object()}}
    with hebbian.Client("http://127.0.0.1:1") as client, pytest.raises(hebbian.InvalidRequest, match=r"^strategy\.sigma\\u\{202e\}: must"):
        client.create(spec)
    with pytest.raises(TypeError, match=r"^strategy\.sigma\\u\{202e\}: must"):
        hebbian.objective("a", x=hebbian.real(0.0, deviation=1.0))(lambda x: x).spec("maximise", generations=1, strategy=spec["strategy"])
    for key, value in (("x\u200f", 1), ("x\x1b", "\u3164")):
        with pytest.raises(TypeError) as caught:
            hebbian.objective("a", parameters={key: value})(lambda **_: 0.0)
        assert is_plain(str(caught.value)) and line(key) in str(caught.value)


def test_a_genome_file_is_of_others(tmp_path):
    genome = {"format": FORMAT, "layout": {}, "values": [], "rule": {}, "network": {}, "provenance": {}}
    path = tmp_path / "genome.json"
    wrong = ({"rule": {HOSTILE: 1}}, {"rule": {"family": "\u3164"}}, {"values": ["\u202e\u3164"]}, {"layout": {"segments": [{HOSTILE: 1}]}})
    for change in wrong:
        path.write_text(json.dumps({**genome, **change}))
        with pytest.raises(RuleError) as caught:
            Rule.load(path)
        told = caught.value
        while told is not None:
            assert is_plain(str(told)), str(told)
            told = told.__cause__ or (None if told.__suppress_context__ else told.__context__)


def test_the_log_is_lines(caplog):
    with caplog.at_level(logging.INFO, "hebbian"):
        logger.warning("%s: refused: %s", HOSTILE, ValueError("x\ny"))
        logging.getLogger("hebbian").info("%d of %g, 100 %%", 1, 0.5)
    assert [record.getMessage() for record in caplog.records] == [f"{SHOWN}: refused: x\\ny", "1 of 0.5, 100 %"]


def test_progress_and_the_notebook_show_no_more_than_text(monkeypatch):
    terminal, pages = io.StringIO(), []
    terminal.isatty = lambda: True
    result = SimpleNamespace(value=1.0, evaluations=1, stopped=HOSTILE)
    spec = {"name": f"<{HOSTILE}", "stop": {}, "problem": {"direction": "maximise"}}
    Progress(terminal).ended(result)
    assert terminal.getvalue() == f"\r\x1b[K1 evaluations, value 1 ({SHOWN})\n"
    display = SimpleNamespace(HTML=str, display=lambda page, display_id: pages.append(page) or SimpleNamespace(update=pages.append))
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1)))
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    progress = Progress()
    progress.started(SimpleNamespace(name="runs/1"), spec)
    progress.ended(result)
    assert len(pages) == 2 and all(is_plain(page) and f"&lt;{SHOWN}" in page for page in pages)


def test_what_an_objective_raises_is_printed_as_text(capsys):
    def score(x):
        raise (hebbian.Failed if x < 0 else RuntimeError)(HOSTILE)

    evaluator = Evaluator(hebbian.objective("a", x=hebbian.real(0.0, deviation=1.0))(score))
    for value in (-1.0, 1.0):
        evaluator.evaluate([value], 0)
    told = capsys.readouterr().err
    assert is_plain(told) and told.count("\\u{202e}") == 2 and "Traceback" in told


def test_every_exception_goes_from_process_to_process():
    for error in (
        hebbian.HebbianError("x", code="INTERNAL"),
        hebbian.InvalidRequest("x\x1b", field="seed", code="INVALID_ARGUMENT"),
        hebbian.NotFound("x", resource="runs/a"),
        hebbian.Busy("x", retry_after=2.0),
        hebbian.Unavailable("x", undone=True),
        hebbian.RunPaused("runs/a", "no workers\x1b"),
    ):
        arrived = pickle.loads(pickle.dumps(error))
        assert type(arrived) is type(error)
        assert str(arrived) == str(error)
        assert vars(arrived) == vars(error)
