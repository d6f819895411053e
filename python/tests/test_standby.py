"""Several coordinators of which one leads: stand-ins that answer as the program does."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

grpc = pytest.importorskip("grpc")

from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

import hebbian
from hebbian import v1
from hebbian.connection import Cluster, addresses_of


class StandIn(grpc.GenericRpcHandler):
    """A coordinator that leads or stands by."""

    def __init__(self, name):
        self.name, self.leads, self.trouble, self.asked, self.events = name, False, False, [], []
        # Streams stay open for so long.
        self.over = threading.Event()
        # Who leads after a change that is not answered.
        self.follower = None
        self._server = grpc.server(ThreadPoolExecutor(4))
        self._server.add_generic_rpc_handlers([self])
        self.address = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self):
        self.over.set()
        self._server.stop(None).wait()

    def _refuse(self, context):
        message = "this coordinator is a standby; nobody is known to lead"
        detail = any_pb2.Any()
        detail.Pack(error_details_pb2.ErrorInfo(reason="STANDBY", domain="hebbian"))
        status = status_pb2.Status(code=grpc.StatusCode.UNAVAILABLE.value[0], message=message, details=[detail])
        context.set_trailing_metadata([("grpc-status-details-bin", status.SerializeToString())])
        context.abort(grpc.StatusCode.UNAVAILABLE, message)

    def _health(self, request, context):
        # About the whole, or, with a name, about the cluster.
        serves = self.leads and (not self.trouble or b"hebbian.v1.ClusterService" in request)
        return b"\x08\x01" if serves else b"\x08\x02"

    def _get(self, _, context):
        self.asked.append("GetRun")
        if not self.leads:
            self._refuse(context)
        return v1.GetRunResponse(run=v1.Run(name="runs/1", display_name=self.name)).SerializeToString()

    def _change(self, name):
        def change(request, context):
            self.asked.append((name, getattr(getattr(v1, f"{name}Request").FromString(request), "request_id", "")))
            if not self.leads:
                self._refuse(context)
            if self.follower is None:
                return getattr(v1, f"{name}Response")().SerializeToString()
            # It goes away before its answer, and another one follows.
            self.leads, self.follower.leads = False, True
            context.abort(grpc.StatusCode.UNAVAILABLE, "the coordinator is shutting down")

        return grpc.unary_unary_rpc_method_handler(change)

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
            **{f"/hebbian.v1.RunService/{name}": self._change(name) for name in CHANGES},
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


CHANGES = {
    "AddRunNote": lambda client: client.run("runs/1").note("once"),
    "PauseRun": lambda client: client.run("runs/1").pause(),
    "ResumeRun": lambda client: client.run("runs/1").resume(),
    "CancelRun": lambda client: client.run("runs/1").cancel(),
    "CreateRun": lambda client: client.create({"name": "x"}),
    "ForkRun": lambda client: client.run("runs/1").fork({"name": "x"}),
    "DeleteRun": lambda client: client.run("runs/1").delete(),
    "ExtendRun": lambda client: client.run("runs/1").extend(generations=5),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_does_nothing_twice_is_asked_again_and_nothing_else(pair, name):
    one, two = pair
    one.leads, one.follower = True, two
    with hebbian.Client(f"{one.address}, {two.address}") as client:
        assert client.run("runs/1").status().display_name == "one"
        one.asked.clear()
        if name in ("DeleteRun", "ExtendRun"):
            with pytest.raises(hebbian.Unavailable, match="the coordinator is shutting down"):
                CHANGES[name](client)
            assert two.asked == []
        else:
            CHANGES[name](client)
            # By the same id, where there is one.
            assert two.asked == one.asked and len(one.asked) == 1
            assert bool(two.asked[0][1]) == (name in ("CreateRun", "ForkRun"))
        assert client.run("runs/1").status().display_name == "two"


def test_a_standby_has_done_nothing(pair):
    one, two = pair
    one.leads = True
    with hebbian.Client([one.address, two.address]) as client:
        assert client.run("runs/1").status().display_name == "one"
        one.leads, two.leads = False, True
        client.run("runs/1").delete()
        assert [name for name, _ in two.asked] == ["DeleteRun"]


def test_a_leader_in_trouble_is_asked_before_its_standby(pair):
    one, two = pair
    two.leads = two.trouble = True
    for both in ([one.address, two.address], [two.address, one.address]):
        with hebbian.Client(both) as client:
            assert client.run("runs/1").status().display_name == "two"
    # Whoever serves comes first.
    one.leads = True
    with hebbian.Client([two.address, one.address]) as client:
        assert client.run("runs/1").status().display_name == "one"


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
    with client:
        with pytest.raises(hebbian.Unavailable, match="this coordinator is a standby; nobody is known to lead"):
            client.run("runs/1").status()
        one.stop()
        two.stop()
        with pytest.raises(hebbian.Unavailable, match="none of these coordinators answers"):
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
