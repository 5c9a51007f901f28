"""The chain by itself: whatever is done to a log is found, and the rule can be followed by anybody."""

import hashlib
import io
import json
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from rotator.history import chain
from rotator.history.chain import CONTINUES, GENESIS, Damage, Examination, Head
from rotator.ports import Json

Fields = dict[str, object]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)
TEXTS = st.text(max_size=20)
SIZES = st.integers(2, 12)
patiently = settings(deadline=None)


def written(count: int, *, first: int = 1, prev: str = GENESIS, step: str = "issue", details: tuple[str, ...] = ()) -> list[str]:
    """Return an export of `count` records, made by the documented rule and not by the product's code."""
    lines = []
    for seq in range(first, first + count):
        detail = details[(seq - first) % len(details)] if details else f"made secret {seq}"
        record: Fields = {"seq": seq, "at": f"2026-11-02T08:30:{seq % 60:02}Z", "step": step, "prev": prev, "detail": detail}
        body = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        prev = hashlib.sha256(body.encode()).hexdigest()
        lines.append(json.dumps({**record, "hash": prev}, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
        step = "issue"
    return lines


def head_of(lines: list[str]) -> Head:
    last = json.loads(lines[-1])
    return Head(seq=last["seq"], hash=last["hash"], at=last["at"])


def check(lines: list[str], *heads: Head) -> Examination:
    return chain.examine(chain.read_links(io.StringIO("".join(f"{line}\n" for line in lines), newline="\n")), heads=heads)


def rehashed(line: str, **changes: object) -> str:
    """Change a record as somebody would who knows the rule."""
    record = {**json.loads(line), **changes}
    del record["hash"]
    body = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return chain.exported(body, chain.hash_of(body))


@patiently
@given(st.lists(TEXTS, min_size=1, max_size=5), SIZES)
def test_a_chain_made_by_the_documented_rule_is_intact(details: list[str], count: int) -> None:
    lines = written(count, details=tuple(details))
    found = check(lines, head_of(lines))
    assert (found.intact, found.records, found.unanchored, found.notices) == (True, count, 0, ())
    assert found.head == head_of(lines)


@patiently
@given(st.dictionaries(st.text(), JSON))
def test_the_canonical_form_is_stable(fields: dict[str, Json]) -> None:
    text = chain.canonical(fields)
    assert chain.canonical(json.loads(text)) == text
    assert chain.canonical(dict(reversed(fields.items()))) == text
    assert "\n" not in text


@patiently
@given(SIZES, st.data())
def test_any_changed_field_is_found_at_its_record(count: int, data: st.DataObject) -> None:
    lines = written(count)
    place = data.draw(st.integers(0, count - 1))
    record = json.loads(lines[place])
    name = data.draw(st.sampled_from(sorted(record)))
    value = data.draw(st.text() | st.integers() | st.booleans() | st.none())
    if value == record[name] and type(value) is type(record[name]):
        return
    lines[place] = json.dumps({**record, name: value}, sort_keys=True, separators=(",", ":"))
    found = check(lines)
    assert not found.intact
    if name not in {"seq", "hash"}:
        assert place + 1 in {flaw.seq for flaw in found.flaws}


@patiently
@given(SIZES, st.data())
def test_a_change_with_a_new_hash_is_found_by_the_next_record_or_by_the_vault(count: int, data: st.DataObject) -> None:
    lines = written(count)
    head, place = head_of(lines), data.draw(st.integers(0, count - 1))
    lines[place] = rehashed(lines[place], detail="nothing happened")
    found = check(lines, head)
    assert [(flaw.seq, flaw.damage) for flaw in found.flaws] == [(place + 1, Damage.CHANGED)]


@patiently
@given(SIZES, st.data())
def test_a_log_that_is_rewritten_as_a_whole_is_found_by_the_vault(count: int, data: st.DataObject) -> None:
    head = head_of(written(count))
    forged = written(count + data.draw(st.integers(0, 3)), details=("nothing happened",))
    assert check(forged).intact, "the chain alone cannot tell"
    found = check(forged, head)
    assert [(flaw.seq, flaw.damage) for flaw in found.flaws] == [(count, Damage.CHANGED)]


@patiently
@given(SIZES, st.data())
def test_any_removed_records_are_found(count: int, data: st.DataObject) -> None:
    lines = written(count)
    head = head_of(lines)
    begin = data.draw(st.integers(0, count - 1))
    end = data.draw(st.integers(begin + 1, count))
    if end - begin == count:
        return
    del lines[begin:end]
    found = check(lines, head)
    damage = Damage.CUT_OFF if end == count else Damage.REMOVED
    assert [(flaw.seq, flaw.damage) for flaw in found.flaws] == [(begin + 1, damage)]


@patiently
@given(SIZES, st.data())
def test_any_two_swapped_records_are_found(count: int, data: st.DataObject) -> None:
    lines = written(count)
    one, two = sorted(data.draw(st.lists(st.integers(0, count - 1), min_size=2, max_size=2, unique=True)))
    lines[one], lines[two] = lines[two], lines[one]
    found = check(lines)
    assert not found.intact
    assert {flaw.damage for flaw in found.flaws} == {Damage.REORDERED}, "nothing is missing, it only stands elsewhere"
    assert one + 1 in {flaw.seq for flaw in found.flaws}


@patiently
@given(SIZES, st.data())
def test_any_repeated_record_is_found(count: int, data: st.DataObject) -> None:
    lines = written(count)
    place = data.draw(st.integers(0, count - 1))
    lines.insert(data.draw(st.integers(place + 1, count)), lines[place])
    found = check(lines)
    assert (place + 1, Damage.REORDERED) in {(flaw.seq, flaw.damage) for flaw in found.flaws}


@patiently
@given(SIZES, st.data())
def test_a_line_that_is_cut_or_no_record_is_named_and_the_rest_is_still_checked(count: int, data: st.DataObject) -> None:
    lines = written(count)
    place = data.draw(st.integers(0, count - 1))
    rubbish = st.sampled_from(["", "null", "[]", "{}", "1e400", '{"seq":true}', "[" * 5000, "\udcff"])
    lines[place] = data.draw(rubbish | st.integers(1, len(lines[place]) - 1).map(lambda at: lines[place][:at]))
    found = check(lines)
    assert [(flaw.seq, flaw.damage) for flaw in found.flaws] == [(place + 1, Damage.UNREADABLE)]


def test_two_spellings_of_one_record_are_no_record() -> None:
    lines = written(3)
    lines[1] = lines[1].replace('"step":"issue"', '"step":"retire","step":"issue"')
    assert not check(lines).intact
    lines[1] = written(3)[1].replace(":", ": ")
    assert not check(lines).intact


def test_a_log_that_continues_after_a_lost_one_says_so_and_is_not_called_broken() -> None:
    lost = head_of(written(5))
    lines = written(3, first=6, prev=lost.hash, step=CONTINUES)
    found = check(lines, lost)
    assert found.intact
    assert found.notices[0].startswith("records 1 to 5 are not in this log")
    assert check([*written(5), *lines], lost).intact, "the lost part and the new one are one chain"


def test_a_log_that_follows_on_from_another_than_the_vault_knows_is_broken() -> None:
    lost = head_of(written(5))
    lines = written(3, first=6, prev=lost.hash, step=CONTINUES)
    found = check(lines, replace(lost, hash="0" * 64))
    assert [(flaw.seq, flaw.damage) for flaw in found.flaws] == [(6, Damage.CHANGED)]


def test_a_beginning_that_is_missing_without_a_word_is_removed() -> None:
    found = check(written(6)[2:])
    assert [(flaw.seq, flaw.damage, flaw.detail) for flaw in found.flaws] == [(1, Damage.REMOVED, "records 1 to 2 are missing")]


def test_an_empty_log_of_which_the_vault_knows_records_is_not_called_whole_silently() -> None:
    found = check([], head_of(written(5)))
    assert (found.records, found.vault is not None) == (0, True)
    assert "all was removed" in found.notices[0]


def test_a_hostile_export_costs_little_memory_and_no_crash() -> None:
    lines = [*written(2), rehashed(written(3)[2], seq=10**30), *(["rubbish"] * 1000)]
    found = check(lines)
    assert len(found.flaws) <= 201
    assert found.unshown > 700
