"""What services called our requests: kept for the evidence, by thread, and never more than a record can bear."""

import threading

from rotator.clients.observed import UNANSWERED, UNSENT, RequestTrail, naming


def left(trail: RequestTrail, method: str, code: str, answered: dict[str, str] | None = None, **sent: str) -> tuple[str, ...]:
    with naming("key-vault", "write-secret"):
        trail.leave(method, code, sent, answered)
    return trail.taken()


def test_a_change_leaves_the_services_id_and_the_one_that_goes_through_several_logs() -> None:
    trail = RequestTrail()
    answer = {"x-ms-request-id": "its-own", "x-ms-correlation-request-id": "shared"}
    assert left(trail, "PUT", "200", answer) == ("key-vault write-secret 200 its-own shared",)
    assert left(trail, "PATCH", "202", {"request-id": "one", "client-request-id": "one"}) == ("key-vault write-secret 202 one",)
    assert trail.taken() == ()


def test_ordinary_looks_leave_nothing_and_failed_ones_do() -> None:
    trail = RequestTrail()
    for code in ("200", "401", "404", "429", UNSENT):
        assert left(trail, "GET", code, {"x-ms-request-id": "a"}) == ()
    assert left(trail, "GET", "403", {"x-ms-request-id": "a"}) == ("key-vault write-secret 403 a",)
    for code in ("401", "429", UNSENT):
        assert left(trail, "PUT", code, {"x-ms-request-id": "a"}) == (), "nothing was changed"


def test_a_sign_in_is_no_change_although_it_is_a_post() -> None:
    trail = RequestTrail()
    with naming("entra", "token"):
        trail.leave("POST", "200", {}, {"x-ms-request-id": "a"})
    assert trail.taken() == ()


def test_a_lost_answer_leaves_the_id_that_we_gave_it() -> None:
    trail = RequestTrail()
    with naming("key-vault", "write-secret"):
        trail.leave("PUT", UNANSWERED, {"x-ms-client-request-id": "ours"}, None)
    assert trail.taken() == ("key-vault write-secret unanswered ours",)


def test_ids_are_other_peoples_text() -> None:
    trail = RequestTrail()
    hostile = 'a b\n{"step":"close"}\x1b[31m' + "x" * 500
    (one,) = left(trail, "PUT", "200", {"x-ms-request-id": hostile})
    assert one.startswith("key-vault write-secret 200 abstep:close31mxxx")
    assert len(one.split()[-1]) == 80


def test_a_flood_is_counted_not_kept() -> None:
    trail = RequestTrail()
    for number in range(100):
        trail.leave("PUT", "200", {}, {"x-ms-request-id": str(number)})
    taken = trail.taken()
    assert (len(taken), taken[-1]) == (61, "and 40 more")


def test_each_thread_has_its_own() -> None:
    trail = RequestTrail()
    other = threading.Thread(target=lambda: trail.leave("PUT", "200", {}, {"x-ms-request-id": "a"}))
    other.start()
    other.join()
    assert trail.taken() == ()
