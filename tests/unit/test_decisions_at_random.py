"""Nights, faults and a person who gives any verb at any time: nobody is out who was not revoked, and all ends well."""

from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rotator.model.credential import Overlap
from rotator.model.errors import RotatorError
from rotator.model.rotation import Verb
from tests.memorycloud import Crash, Fault, MemoryCloud
from tests.nights import Journal, assert_good_end, expiring_cloud, nights, plan_of, run
from tests.person import Person

WORLDS = st.sampled_from([Overlap.TWO_SLOTS, Overlap.MANY])
DEEDS = st.sampled_from(["night", "hours", "forget the journal", "weeks", "revoke", "revoke all", "revoke an old one", *Verb])
FAULTS = st.none() | st.tuples(st.integers(1, 9), st.sampled_from(list(Fault)))
SICK = st.frozensets(st.sampled_from([f"web-{number}" for number in range(4)]), max_size=2)
# Most of what is interesting begins where a rotation stopped half way, which chance alone seldom reaches.
FIRST_NIGHT = st.sampled_from([None, frozenset[str](), frozenset({"web-0"}), frozenset({"web-2"})])
STEPS = st.lists(st.tuples(DEEDS, FAULTS, SICK), min_size=1, max_size=7)


def act(cloud: MemoryCloud, person: Person, deed: str) -> None:
    match deed:
        case "night":
            run(cloud, person.journal, plan=plan_of(cloud))
            cloud.clock.sleep(timedelta(hours=24, minutes=1))
        case "hours":
            cloud.clock.sleep(timedelta(hours=3))
        case "weeks":
            cloud.clock.sleep(timedelta(days=3))
        case "forget the journal":
            person.journal = Journal()
        case "revoke":
            person.revoke()
        case "revoke all":
            person.revoke(everything=True)
        case "revoke an old one":
            person.revoke([one.handle.id for one in cloud.live()][:1])
        case _:
            person.give(Verb(deed))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(overlap=WORLDS, first_night=FIRST_NIGHT, steps=STEPS)
def test_any_verb_at_any_time_ends_well(
    overlap: Overlap, first_night: frozenset[str] | None, steps: list[tuple[str, tuple[int, Fault] | None, frozenset[str]]]
) -> None:
    cloud = expiring_cloud(overlap, groups=4)
    person = Person(cloud)
    if first_night is not None:
        cloud.sick = set(first_night)
        run(cloud, person.journal)
    for deed, fault, sick in steps:
        cloud.sick = set(sick)
        cloud.faults = {} if fault is None else {cloud.effects + fault[0]: fault[1]}
        try:
            act(cloud, person, deed)
        except (RotatorError, Crash):
            continue
        cloud.watch(deed)
    cloud.sick, cloud.faults = set(), {}
    # The credential may have run out meanwhile where verbs and faults kept it from being renewed: that is no harm of a verb.
    nights(cloud, keeps_journal=False, count=8)
    assert_good_end(cloud, in_time=False)
