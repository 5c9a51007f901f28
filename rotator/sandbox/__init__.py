"""The emulated clouds in one process, over HTTPS on loopback, with an oracle that knows what really happened.

with Sandbox(SandboxOptions(directory=tmp_path, estate="demo")) as sandbox:
    sandbox.world.clock.advance(3600)
    assert sandbox.oracle.report()["outages"] == []
"""

from rotator.sandbox.faults import Fault, FaultPlan
from rotator.sandbox.oracle import Oracle
from rotator.sandbox.serve import Sandbox, SandboxOptions
from rotator.sandbox.world import World, WorldOptions

__all__ = ["Fault", "FaultPlan", "Oracle", "Sandbox", "SandboxOptions", "World", "WorldOptions"]
