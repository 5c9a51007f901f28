"""The Azure adapters: each keeps one port of `rotator.ports`."""
