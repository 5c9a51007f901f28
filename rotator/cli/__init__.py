"""The command line: one short module a verb. It parses, calls one use case, shows the result, and exits with its status."""
