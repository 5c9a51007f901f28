"""What one reading of the clouds could not see, and what must therefore not be decided from it. Pure.

Acting on a partial view is how a careful program ends a secret that is in use: a vault that did not answer looks like one that
owns nothing, and a subscription that did not answer like one without groups.
"""

from rotator.model.credential import Principal
from rotator.model.estate import Estate

_RECORDS = {"tokens", "applications", "registries"}
# Services that are asked for one principal at a time: what one of them did not answer says nothing about the others.
_ASKED = "principals"
# Without the registries a host's kind and a token's spelling are guesses, so that a group may be taken for somebody else's.
_CONSUMERS = {"container-groups", "registries"}


def sees_vault(estate: Estate) -> bool:
    """Whether every secret of the vault was listed."""
    return not any(one.what == "vault" for one in estate.unread)


def sees_consumers(estate: Estate) -> bool:
    """Whether every group was listed, and told apart by whom it authenticates as."""
    return not any(one.what in _CONSUMERS for one in estate.unread)


def sees_secrets_of(estate: Estate, principal: Principal) -> bool:
    """Whether the principal's secrets are known; a principal that does not exist has none, and that is known too."""
    record = estate.records.get(principal)
    if record is None:
        return not any(one.what in _RECORDS or (one.what, one.scope) == (_ASKED, principal.id) for one in estate.unread)
    return record.credentials is not None
