"""A thousand workers that serve what nobody asks for: they attach, say that they live, and wait.

    crowd.py ADDRESS NUMBER
"""

import asyncio
import sys

import grpc

# How many streams a coordinator takes of one connection, and less.
AT_A_CONNECTION = 100


def field(number, data):
    """A field of a protobuf message whose value is bytes."""
    assert len(data) < 128
    return bytes([number << 3 | 2, len(data)]) + data


def hello(name):
    """`AttachRequest` with a `Hello`: a name, one thread, a version, a problem."""
    return field(1, field(1, name.encode()) + b"\x10\x01" + field(5, b"crowd") + field(6, b"nothing"))


async def worker(channel, name):
    attach = channel.stream_stream("/hebbian.v1.DispatchService/Attach", None, None)()
    await attach.write(hello(name))
    assert await attach.read() is not grpc.aio.EOF, f"{name} is not welcome"
    while True:
        await asyncio.sleep(10)
        await attach.write(field(2, b""))


async def crowd(address, number):
    connections = -(-number // AT_A_CONNECTION)
    # Else all of them would share one connection.
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(connections)]
    names = enumerate(f"crowd-{number:04}" for number in range(number))
    await asyncio.gather(*(worker(channels[place % connections], name) for place, name in names))


asyncio.run(crowd(sys.argv[1], int(sys.argv[2])))
