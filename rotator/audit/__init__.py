"""Policies held against an estate: load, work out the facts, evaluate, apply waivers. Pure but for reading policy files."""
