"""Which secret does a group store? Azure never says, so it is concluded from what was alive when the group last pulled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from rotator.explain.answer import Answer, Because
from rotator.model.credential import Credential, PrincipalKind
from rotator.model.estate import TAG_HANDLE, TAG_ISSUED, TAG_ROTATION, Estate, PrincipalRecord, StoredSecret
from rotator.model.group import GROUP_TAG_PREFIX, Binding, ContainerGroup, VaultReference
from rotator.model.lease import StoredLease, last_pull, reads, stored_lease

_REFRESH = timedelta(hours=3)  # Azure's registries: the refresh token of `az acr login --expose-token`
_APART = timedelta(seconds=5)
_RENEW = "Put a live credential into the group: rotator rotate does that for credentials that it can renew."
_REDEPLOY = "Redeploy the group with the vault's secret: rotator rotate --force does, for credentials that it can renew."
_BRING = "Bring its password into the vault (rotator adopt, or rotator import a new one): then it can be tried, and is watched."
_NO_END = "no end: its service gives it none"
_END_UNKNOWN = "not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What is known of the secret that a group stores. `by_vault`: it is the very one that the vault holds."""

    verdict: Because
    by_vault: bool


def held(estate: Estate, group: ContainerGroup, binding: Binding, now: datetime) -> Held:
    """Say whether the stored secret lives, as far as dates and tags tell."""
    principal = binding.principal
    if principal is None:
        return _unknown("nobody knows whom this user name stands for")
    vault = estate.secrets_of.get(principal.id)
    if isinstance(binding.source, VaultReference):
        return _referenced(estate, binding, binding.source, vault, now)
    marked = bool(vault and (tag := group.tags.get(f"{GROUP_TAG_PREFIX}{binding.registry}")) and tag == _mark(vault))
    pulled_at = last_pull(group, binding.registry)
    lease = stored_lease(estate, group, binding)
    if lease is not None:
        return _lease(lease, now, marked=marked)
    if principal.kind is PrincipalKind.ACR_REFRESH_TOKEN:
        return _refresh_token(pulled_at, now)
    record = estate.records.get(principal)
    if record is None or record.credentials is None:
        return _unlisted(vault, pulled_at, now, marked=marked)
    if marked and vault:
        alive = [one for one in record.credentials if one.handle.id == vault.tags.get(TAG_HANDLE)]
        verdict = _judged(alive, now, "the group's tag says that it stores the vault's secret") if alive else _ended()
        return Held(verdict=verdict, by_vault=True)
    return _concluded(record, vault, pulled_at, now)


def _concluded(record: PrincipalRecord, vault: StoredSecret | None, pulled_at: datetime | None, now: datetime) -> Held:
    listed = record.credentials or ()
    if not listed:
        return Held(verdict=_ended("its service lists no secret of it at all"), by_vault=False)
    if pulled_at is None:
        return Held(verdict=_judged(listed, now, f"{_these(listed)}; the group's last pull is not known"), by_vault=False)
    then = [
        one
        for one in listed
        if (one.issued_at is None or one.issued_at <= pulled_at + _APART)
        and (one.expires_at is None or one.expires_at > pulled_at - _APART)
    ]
    if not then:
        return Held(verdict=_ended("every secret that lives was made after the group last pulled"), by_vault=False)
    seen = f"it last pulled on {_when(pulled_at)}"
    verdict = _judged(then, now, f"{seen}, and {_these(then, ' that lived then')}")
    if verdict.answer is Answer.YES and len(then) < len(listed):
        reason = f"{seen}; a newer secret was made since, which may have ended the one that it stores"
        verdict = Because(answer=Answer.UNKNOWN, reason=reason, remedy=_REDEPLOY)
    known = vault.tags.get(TAG_HANDLE) if vault else None
    return Held(verdict=verdict, by_vault=len(then) == 1 and then[0].handle.id == known)


def _these(listed: Sequence[Credential], which: str = "") -> str:
    if len(listed) == 1:
        return f"the only secret{which or ' that its service lists'} still lives"
    return f"all {len(listed)} secrets{which or ' that its service lists'} still live"


def _judged(listed: Sequence[Credential], now: datetime, why: str) -> Because:
    ends = [one.expires_at for one in listed if one.expires_at is not None]
    over = [one for one in listed if one.expired(now)]
    if len(over) == len(listed):
        return Because(answer=Answer.NO, reason=f"its credential expired on {_when(max(ends))}", remedy=_RENEW, until=max(ends))
    if over:
        reason = "one of the secrets that it may store has expired and another has not"
        return Because(answer=Answer.UNKNOWN, reason=reason, remedy=_RENEW, ends=_END_UNKNOWN)
    return Because(answer=Answer.YES, reason=why, until=min(ends, default=None), ends="" if ends else _NO_END)


def _ended(why: str = "the secret that it stores has been ended") -> Because:
    return Because(answer=Answer.NO, reason=f"the stored password is dead: {why}", remedy=_RENEW)


def _referenced(estate: Estate, binding: Binding, source: VaultReference, vault: StoredSecret | None, now: datetime) -> Held:
    if vault is None:
        return _unknown("it reads a vault secret that rotator does not manage, so its value was not tried")
    if not reads(source, vault):
        return _unknown(f"it reads another vault secret, or another version, than {vault.name}, so its value was not tried")
    if not vault.enabled:
        return Held(
            verdict=Because(
                answer=Answer.NO,
                reason=f"the vault secret {vault.name}, which it reads at its start, is disabled",
                remedy="Enable its newest version.",
            ),
            by_vault=True,
        )
    record = estate.records.get(binding.principal) if binding.principal else None
    known = [one for one in (record.credentials or () if record else ()) if one.handle.id == vault.tags.get(TAG_HANDLE)]
    why = f"it reads {vault.name} from the vault at its next start"
    if known:
        return Held(verdict=_judged(known, now, why), by_vault=True)
    return Held(verdict=_dated(vault.expires_at, now, why), by_vault=True)


def _lease(lease: StoredLease, now: datetime, *, marked: bool) -> Held:
    run_out = lease.run_out(now)
    if lease.ends_at is None and run_out:
        reason = "it stores a lease from before its last pull, and a lease lives for twelve hours"
        verdict = Because(answer=Answer.NO, reason=reason, remedy=_RENEW, until=lease.latest)
        return Held(verdict=verdict, by_vault=False)
    if lease.ends_at is None:
        latest = f"{lease.why}; it ends by {_when(lease.latest)} at the latest" if lease.latest else lease.why
        return Held(verdict=Because(answer=Answer.UNKNOWN, reason=latest, remedy=_RENEW, ends=_END_UNKNOWN), by_vault=False)
    return Held(verdict=_dated(lease.ends_at, now, lease.why), by_vault=marked)


def _refresh_token(pulled_at: datetime | None, now: datetime) -> Held:
    reason = "it stores a registry's refresh token, which lives for three hours"
    remedy = "Give the group an identity or a repository token."
    if pulled_at is not None and pulled_at + _REFRESH <= now:
        until = pulled_at + _REFRESH
        reason = f"{reason}, and it last pulled on {_when(pulled_at)}"
        return Held(verdict=Because(answer=Answer.NO, reason=reason, remedy=remedy, until=until), by_vault=False)
    return Held(verdict=Because(answer=Answer.UNKNOWN, reason=reason, remedy=remedy, ends=_END_UNKNOWN), by_vault=False)


def _unlisted(vault: StoredSecret | None, pulled_at: datetime | None, now: datetime, *, marked: bool) -> Held:
    """Judge a principal whose service lists no secrets: what the vault holds is all that is known."""
    if vault is None:
        seen = f"; it last pulled on {_when(pulled_at)}" if pulled_at else ""
        return _unknown(f"nobody but the group has its password, and its service lists none{seen}", _BRING)
    issued_at = _issued(vault)
    same = marked or (pulled_at is not None and issued_at is not None and issued_at <= pulled_at)
    if not same:
        return _unknown("the vault got its secret after the group last pulled, so the group may store another one", _REDEPLOY)
    return Held(verdict=_dated(vault.expires_at, now, "the vault had its secret when the group last pulled"), by_vault=True)


def _dated(expires_at: datetime | None, now: datetime, why: str) -> Because:
    if expires_at is not None and expires_at <= now:
        reason = f"its credential expired on {_when(expires_at)}"
        return Because(answer=Answer.NO, reason=reason, remedy=_RENEW, until=expires_at)
    return Because(answer=Answer.YES, reason=why, until=expires_at, ends="" if expires_at else _END_UNKNOWN)


def _unknown(reason: str, remedy: str = "") -> Held:
    return Held(verdict=Because(answer=Answer.UNKNOWN, reason=reason, remedy=remedy, ends=_END_UNKNOWN), by_vault=False)


def _mark(vault: StoredSecret) -> str:
    return vault.tags.get(TAG_ROTATION, "")


def _issued(vault: StoredSecret) -> datetime | None:
    try:
        return datetime.fromisoformat(vault.tags[TAG_ISSUED])
    except (KeyError, ValueError):
        return vault.created_at


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
