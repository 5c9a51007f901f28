"""What is remembered between runs: audits, findings and rotations. Never a value, and never a group's body."""

from rotator.history.record import History
from rotator.history.rows import Entry, RememberedFinding

__all__ = ["Entry", "History", "RememberedFinding"]
