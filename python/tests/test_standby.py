"""Several coordinators of which one leads: stand-ins that answer as the program does."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

grpc = pytest.importorskip("grpc")

import hebbian
from hebbian import v1
from hebbian.connection import Cluster, addresses_of


class StandIn(grpc.GenericRpcHandler):
    """A coordinator that leads or stands by."""

    def __init__(self, name):
        self.name, self.leads, self.asked, self.events = name, False, [], []
        # Streams stay open for so long.
        self.over = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers([self])
        self.address = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self):
        self.over.set()
        self._server.stop(None).wait()

    def _refuse(self, context):
        context.abort(grpc.StatusCode.UNAVAILABLE, "this coordinator is a standby; nobody is known to lead")

    def _health(self, _, context):
        return b"\x08\x01" if self.leads else b"\x08\x02"

    def _get(self, _, context):
        self.asked.append("GetRun")
        if not self.leads:
            self._refuse(context)
        return v1.GetRunResponse(run=v1.Run(name="runs/1", display_name=self.name)).SerializeToString()

    def _note(self, _, context):
        self.asked.append("AddRunNote")
        if not self.leads:
            self._refuse(context)
        # It goes away before its answer.
        self.leads = False
        context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")

    def _watch(self, request, context):
        after = v1.WatchRunRequest.FromString(request).after_sequence
        for sequence in range(after + 1, len(self.events) + 1):
            event = v1.RunEvent(note=self.events[sequence - 1])
            yield v1.WatchRunResponse(sequence=sequence, event=event).SerializeToString()
        self.over.wait(20)
        if not self.leads:
            self._refuse(context)

    def service(self, details):
        methods = {
            "/grpc.health.v1.Health/Check": grpc.unary_unary_rpc_method_handler(self._health),
            "/hebbian.v1.RunService/GetRun": grpc.unary_unary_rpc_method_handler(self._get),
            "/hebbian.v1.RunService/AddRunNote": grpc.unary_unary_rpc_method_handler(self._note),
            "/hebbian.v1.RunService/WatchRun": grpc.unary_stream_rpc_method_handler(self._watch),
        }
        return methods.get(details.method)


@pytest.fixture
def pair():
    both = [StandIn("one"), StandIn("two")]
    yield both
    for one in both:
        one.stop()


def test_the_one_that_leads_is_asked_and_followed(pair):
    one, two = pair
    two.leads = True
    with hebbian.Client([one.address, two.address]) as client:
        assert client.run("runs/1").status().display_name == "two"
        assert client.coordinator == two.address and one.asked == []
        # What only looks is asked again of whoever leads now.
        one.leads, two.leads = True, False
        assert client.run("runs/1").status().display_name == "one"
        two.stop()
        assert client.run("runs/1").status().display_name == "one"


def test_what_may_have_been_done_is_not_done_twice(pair):
    one, two = pair
    one.leads = True
    with hebbian.Client(f"{one.address}, {two.address}") as client:
        two.leads = True
        with pytest.raises(hebbian.Unavailable, match="the connection broke"):
            client.run("runs/1").note("once")
        assert two.asked == []
        assert client.run("runs/1").status().display_name == "two"


def test_events_go_on_with_the_next_leader(pair):
    one, two = pair
    one.leads, one.events, two.events = True, ["a", "b"], ["a", "b", "c"]
    with hebbian.Client([one.address, two.address]) as client:
        events = client.run("runs/1").events()
        assert next(events) == (1, v1.RunEvent(note="a"))
        one.leads, two.leads = False, True
        one.over.set()
        two.over.set()
        assert [event.note for _, event in events] == ["b", "c"]


def test_nobody_leads(pair):
    one, two = pair
    client = hebbian.Client([one.address, two.address], timeout=0.5)
    with client, pytest.raises(hebbian.Unavailable, match="none of these coordinators leads"):
        client.run("runs/1").status()


def test_addresses_are_a_list_or_one_text(monkeypatch):
    assert addresses_of("http://a:1, http://b:2,") == ["http://a:1", "http://b:2"]
    assert addresses_of(["http://a:1"]) == ["http://a:1"]
    monkeypatch.setenv("HEBBIAN_COORDINATOR", "http://a:1,http://b:2")
    cluster = Cluster(None)
    assert cluster.address == "http://a:1,http://b:2"
    cluster.close()
    with pytest.raises(hebbian.InvalidRequest, match="has no address"):
        addresses_of(",")
