"""Lists of the Azure SDKs, page by page, with our errors and our retries."""

from collections.abc import Iterator
from typing import TypeVar

from azure.core.paging import ItemPaged

from rotator.clients.failures import translated
from rotator.clients.retry import retried
from rotator.ports import Clock

Item = TypeVar("Item")


def paged(clock: Clock, listing: ItemPaged[Item], *, api: str, operation: str, needs: str, thing: str) -> Iterator[Item]:
    """Yield every item. A page that fails is asked for again; a list that breaks off raises and never just ends.

    azure-core's page iterator stays where it was when a request fails; its item iterator would not.
    """
    pages = listing.by_page()

    def turn() -> list[Item] | None:
        with translated(api=api, operation=operation, needs=needs, thing=thing):
            page = next(pages, None)
            return None if page is None else list(page)

    while (items := retried(clock, turn, key=thing)) is not None:
        yield from items
