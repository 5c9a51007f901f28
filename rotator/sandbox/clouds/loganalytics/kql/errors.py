"""The two ways in which a query is wrong, with Kusto's numbers."""


class KqlError(Exception):
    """A query that cannot be answered. `code` is Kusto's number (SYN0002, SEM0100, ...)."""

    def __init__(self, code: str, message: str, *, line: int = 0, pos: int = 0, token: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.line = line
        self.pos = pos
        self.token = token

    @property
    def syntactic(self) -> bool:
        """Say whether the text could not be parsed, rather than not be understood."""
        return self.code.startswith("SYN")


def unresolved_column(operator: str, name: str) -> KqlError:
    """Build the error of a name that is no column."""
    return KqlError("SEM0100", f"'{operator}' operator: Failed to resolve column or scalar expression named '{name}'")


def unresolved_table(name: str) -> KqlError:
    """Build the error of a name that is no table."""
    return KqlError("SEM0100", f"Failed to resolve table or column expression named '{name}'")


def mismatch(message: str) -> KqlError:
    """Build the error of values that do not go together."""
    return KqlError("SEM0064", message)
