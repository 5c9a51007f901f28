"""Rotations: the plan (pure), the phases that act, the durable workflow around them, and the sweep for what was left."""
