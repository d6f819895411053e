#!/usr/bin/env python3
"""A Python client of hebbian, made from the .proto files: creates a run, watches it and reads the result.

Needs a coordinator with at least one worker, and:  pip install grpcio grpcio-tools grpcio-reflection
Usage:  python3 tests/python/client.py localhost:7420
Exit code 0 when the run has finished and everything that was read fits together.
"""

import json
import math
import pathlib
import sys
import tempfile
import uuid

import grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_tools import protoc

PROTO = pathlib.Path(__file__).resolve().parents[2] / "proto" / "proto"
GENERATIONS = 5


def generate(out):
    """Generates the messages and stubs of hebbian.v1 into a folder and imports them."""
    files = sorted(str(path) for path in (PROTO / "hebbian" / "v1").glob("*.proto"))
    # The well-known types (Timestamp, Duration) come with grpcio-tools.
    well_known = pathlib.Path(protoc.__file__).parent / "_proto"
    arguments = ["protoc", f"-I{PROTO}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}"]
    if protoc.main(arguments + files) != 0:
        sys.exit("the .proto files do not compile")
    sys.path.insert(0, out)
    from hebbian.v1 import (  # pylint: disable=import-error,import-outside-toplevel
        cluster_service_pb2,
        cluster_service_pb2_grpc,
        run_service_pb2,
        run_service_pb2_grpc,
    )

    return cluster_service_pb2, cluster_service_pb2_grpc, run_service_pb2, run_service_pb2_grpc


def main(address):
    with tempfile.TemporaryDirectory() as out:
        cluster_pb2, cluster_grpc, service_pb2, service_grpc = generate(out)
    with grpc.insecure_channel(address) as channel:
        services = ProtoReflectionDescriptorDatabase(channel).get_services()
        print("services:", ", ".join(sorted(services)))
        for service in ("RunService", "ClusterService", "DispatchService"):
            assert f"hebbian.v1.{service}" in services, f"reflection does not list {service}"

        cluster = cluster_grpc.ClusterServiceStub(channel)
        status = cluster.GetCoordinatorStatus(cluster_pb2.GetCoordinatorStatusRequest(), timeout=10).status
        print(f"coordinator {status.version}: {status.workers} workers, {status.threads} threads")

        # A spec is text: JSON or TOML. What is not set has its default; docs/spec.schema.json says which.
        spec = json.dumps(
            {
                "name": "from-python",
                "strategy": {"kind": "cma-es", "population_size": 16},
                "tasks": {"families": ["xor", "circle"], "per_generation": 8},
                "stop": {"generations": GENERATIONS},
            }
        )
        runs = service_grpc.RunServiceStub(channel)
        # The same request_id again gives the same run: a client may repeat what it has not seen answered.
        request = service_pb2.CreateRunRequest(spec=spec, request_id=str(uuid.uuid4()))
        name = runs.CreateRun(request, timeout=10).run.name
        assert runs.CreateRun(request, timeout=10).run.name == name, "the request_id created twice"
        print("created", name)

        generations = 0
        # A watch may be cut (UNAVAILABLE): then it is resumed after the last sequence number.
        sequence = 0
        finished = False
        while not finished:
            try:
                watch = service_pb2.WatchRunRequest(name=name, after_sequence=sequence)
                for response in runs.WatchRun(watch, timeout=300):
                    assert response.sequence > sequence, "events must come in order"
                    sequence = response.sequence
                    kind = response.event.WhichOneof("kind")
                    if kind == "generation":
                        summary = response.event.generation
                        assert summary.generation == generations, "a generation is missing"
                        generations += 1
                        print(f"generation {summary.generation}: best {summary.best_fitness:.3f}")
                    elif kind == "state":
                        print("state:", response.event.state.WhichOneof("kind"))
                    elif kind == "note":
                        print("note:", ascii(response.event.note))
                    else:
                        print(f"{kind}: measured")
                finished = True
            except grpc.RpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise

        result = runs.GetRunResult(service_pb2.GetRunResultRequest(name=name), timeout=10).result
        assert result.state.WhichOneof("kind") == "finished", result.state
        assert result.generations == generations == GENERATIONS
        dimension = sum(math.prod(segment.shape) for segment in result.layout.segments)
        assert len(result.mean) == dimension and all(map(math.isfinite, result.mean))
        assert json.loads(result.spec)["tasks"]["batch_size"] == 64, "defaults are written out in what is answered"
        print(f"mean of {dimension} values: {result.mean[:4]} ...")

        try:
            runs.CreateRun(service_pb2.CreateRunRequest(spec='{"name": "empty"}'), timeout=10)
            sys.exit("an empty spec was accepted")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
            print("an empty spec is refused:", ascii(error.details()))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
