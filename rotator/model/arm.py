"""Azure resource ids, compared the way Azure compares them: without regard to case."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ArmId:
    """An Azure resource id. `text` is as Azure wrote it; equality, hash and order ignore case.

    Real answers mix `resourceGroups` and `resourcegroups` for one resource, so a plain string comparison would make two
    resources of one.
    """

    text: str

    @property
    def key(self) -> str:
        """The id in lower case without a trailing slash: the form to use as a dictionary key or in a tag."""
        return self.text.rstrip("/").lower()

    @property
    def name(self) -> str:
        """The last segment."""
        return self.text.rstrip("/").rsplit("/", 1)[-1]

    @property
    def subscription(self) -> str:
        """The subscription's id in lower case, or an empty text when the id has none."""
        return self._after("subscriptions").lower()

    @property
    def resource_group(self) -> str:
        """The resource group's name, or an empty text."""
        return self._after("resourcegroups")

    def _after(self, segment: str) -> str:
        parts = self.text.split("/")
        lowered = [part.lower() for part in parts]
        if segment in lowered:
            position = lowered.index(segment) + 1
            if position < len(parts):
                return parts[position]
        return ""

    def __eq__(self, other: object) -> bool:
        return self.key == other.key if isinstance(other, ArmId) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.key)

    def __lt__(self, other: "ArmId") -> bool:
        return self.key < other.key

    def __str__(self) -> str:
        return self.text
