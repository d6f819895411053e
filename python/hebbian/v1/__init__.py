"""The messages of the protocol `hebbian.v1`, as the comments of its .proto files tell.

They are built from `descriptors.binpb`, which `python/generate` makes, in a pool of their own: a program may have other copies of them.
"""

from importlib import resources as _resources
from typing import Any as _Any

from google.protobuf import (
    descriptor_pb2 as _descriptor_pb2,
)
from google.protobuf import (
    descriptor_pool as _descriptor_pool,
)
from google.protobuf import (
    duration_pb2 as _duration_pb2,
)
from google.protobuf import (
    message_factory as _message_factory,
)
from google.protobuf import (
    timestamp_pb2 as _timestamp_pb2,
)


def _build() -> dict[str, _Any]:
    pool = _descriptor_pool.DescriptorPool()
    for module in (_duration_pb2, _timestamp_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    content = _resources.files(__name__).joinpath("descriptors.binpb").read_bytes()
    waiting = list(_descriptor_pb2.FileDescriptorSet.FromString(content).file)
    names = {file.name for file in waiting}
    while waiting:
        # Those whose imports are known come first.
        ready = [file for file in waiting if not names.intersection(file.dependency)]
        for file in ready:
            pool.AddSerializedFile(file.SerializeToString())
            names.remove(file.name)
        waiting = [file for file in waiting if file.name in names]
    built: dict[str, _Any] = {}
    for file in _descriptor_pb2.FileDescriptorSet.FromString(content).file:
        described = pool.FindFileByName(file.name)
        for name, message in described.message_types_by_name.items():
            built[name] = _message_factory.GetMessageClass(message)
        for enum in described.enum_types_by_name.values():
            built.update({value.name: value.number for value in enum.values})
    return built


globals().update(_build())
