"""What tests/slow/wheel runs in a clean environment."""

import hebbian
from hebbian.local import Coordinator

with Coordinator() as coordinator, hebbian.Client(coordinator.address) as client:
    print("a coordinator of", client.status().version)
    assert client.status().version == hebbian.__version__
