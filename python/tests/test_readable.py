"""What others wrote is shown by messages and the log, and does nothing to a terminal."""

import json
import logging
import re
from pathlib import Path

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

import hebbian
from hebbian._readable import _HOSTILE, logger, readable
from hebbian.errors import InvalidRequest, RunPaused, translated

HOSTILE = "x\x1b]0;owned\x07\r\u202ey\x9b2J\ufeff"
SHOWN = r"x\u{1b}]0;owned\u{7}\r\u{202e}y\u{9b}2J\u{feff}".replace(r"\r", r"\u{d}")


class Refusal(grpc.RpcError):
    """A status of a coordinator that names a field."""

    def code(self):
        return grpc.StatusCode.INVALID_ARGUMENT

    def details(self):
        return f"{HOSTILE}: must be a number"

    def trailing_metadata(self):
        field = any_pb2.Any()
        field.Pack(error_details_pb2.BadRequest(field_violations=[{"field": f"spec.{HOSTILE}"}]))
        return [("grpc-status-details-bin", status_pb2.Status(details=[field]).SerializeToString())]


def test_what_a_coordinator_says_is_shown_and_what_it_named_is_kept():
    error = translated(Refusal(), "localhost:1")
    assert isinstance(error, InvalidRequest)
    assert str(error) == f"{SHOWN}: must be a number"
    assert error.field == HOSTILE
    paused = RunPaused(f"runs/{HOSTILE}", HOSTILE)
    assert str(paused) == f"runs/{SHOWN} is paused: {SHOWN}"
    assert paused.reason == HOSTILE


def test_what_a_file_says_is_shown(tmp_path):
    path = tmp_path / f"a{HOSTILE.replace('/', '')}"
    path.write_text(
        json.dumps({"format": "hebbian-genome-1", "layout": {}, "values": [], "rule": {HOSTILE: 1}, "network": {}, "provenance": {}})
    )
    with pytest.raises(hebbian.RuleError) as caught:
        hebbian.Rule.load(path)
    assert SHOWN in str(caught.value)
    assert not set(HOSTILE) & set(str(caught.value)) - set("x]0;ownedy2J")


def test_what_is_logged_is_shown(caplog):
    with caplog.at_level(logging.WARNING, logger="hebbian"):
        logger.warning("not attached: %s", HOSTILE)
    assert caplog.messages == [f"not attached: {SHOWN}"]


def test_line_ends_and_letters_stay():
    text = "Tr\u00e4ge\n\u4f60\u597d \U0001f40d"
    assert readable(text) == text


def test_the_program_has_the_same_list():
    source = Path(__file__).parents[2] / "view" / "src" / "escape.rs"
    if not source.exists():
        pytest.skip("without the program's sources")
    listed = source.read_text(encoding="utf-8").partition("pub fn is_hostile")[2].partition("\n}\n")[0]
    ranges = re.findall(r"'\\u\{([0-9a-f]+)\}'(?:\.\.='\\u\{([0-9a-f]+)\}')?", listed)
    program = {c for first, last in ranges for c in range(int(first, 16), int(last or first, 16) + 1)}
    # Rust's controls, but for line ends, which its callers treat.
    program |= set(range(0x20)) - {0x0A} | set(range(0x7F, 0xA0))
    assert len(ranges) > 10
    assert program == {c for first, last in _HOSTILE for c in range(first, last + 1)}
