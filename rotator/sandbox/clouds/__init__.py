"""The emulated clouds, one module or folder each."""
