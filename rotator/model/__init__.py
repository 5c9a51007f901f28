"""The vocabulary: frozen values, the standard library only, no I/O."""
