"""The query language: what each operator answers, and that whatever is not understood is an error."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.sandbox.clouds.loganalytics.kql import KqlError, Table, run
from rotator.sandbox.clouds.loganalytics.kql.values import Row, parse_timespan, write_timespan

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ROWS: list[Row] = [
    {"At": NOW - timedelta(hours=1), "Who": "alice", "N": 1, "Text": "pulled demo/web:1", "Ok": True},
    {"At": NOW - timedelta(hours=2), "Who": "bob", "N": 2, "Text": "pulled demo/api:7", "Ok": True},
    {"At": NOW - timedelta(hours=30), "Who": "Alice", "N": 3, "Text": "denied demo/web:2", "Ok": False},
    {"At": NOW - timedelta(hours=31), "Who": "", "N": None, "Text": 'it\'s "odd"\\', "Ok": False},
]
TABLES = {
    "Events": Table({"At": "datetime", "Who": "string", "N": "long", "Text": "string", "Ok": "bool"}, ROWS),
    "Empty": Table({"At": "datetime"}, []),
}


def answer(query: str) -> list[list[object]]:
    return run(query, TABLES, NOW).rows


def names(condition: str) -> list[object]:
    return [row[0] for row in answer(f"Events | where {condition} | project N")]


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("Who == 'alice'", [1]),
        ("Who != 'alice'", [2, 3, None]),
        ("Who =~ 'ALICE'", [1, 3]),
        ("Who !~ 'ALICE'", [2, None]),
        ("Who in ('alice', 'bob')", [1, 2]),
        ("Who in~ ('ALICE')", [1, 3]),
        ("Who !in ('alice', 'bob')", [3, None]),
        ("Who !in~ ('ALICE')", [2, None]),
        ("Who in (dynamic(['bob', 'x']))", [2]),
        ("isnotempty(Who)", [1, 2, 3]),
        ("isempty(Who)", [None]),
        ("isnull(N)", [None]),
        ("Text has 'web'", [1, 3]),
        ("Text has 'we'", []),
        ("Text has 'demo/web'", [1, 3]),
        ("Text !has 'web'", [2, None]),
        ("Text has_any ('api', 'odd')", [2, None]),
        ("Text has_all ('web', '2')", [3]),
        ("Text contains 'EMO/a'", [2]),
        ("Text contains_cs 'EMO/a'", []),
        ("Text startswith 'PULLED'", [1, 2]),
        ("Text !startswith 'pulled'", [3, None]),
        ("Text endswith ':7'", [2]),
        ("Text matches regex @'web:\\d$'", [1, 3]),
        ('Text has "it\'s"', [None]),
        ("Text endswith '\\\\'", [None]),
        ("N > 1", [2, 3]),
        ("N <= 1 or N >= 3", [1, 3]),
        ("N between (2 .. 3)", [2, 3]),
        ("N !between (2 .. 3)", [1, None]),
        ("N + 1 == 3", [2]),
        ("N * 2 - 1 >= 3 and N % 2 == 1", [3]),
        ("-N < -2", [3]),
        ("not(Ok)", [3, None]),
        ("Ok == true and N == 1", [1]),
        ("At > ago(1d)", [1, 2]),
        ("At >= now() - 90m", [1]),
        ("At between (ago(31h) .. ago(30h))", [3, None]),
        ("At between (datetime(2026-05-31) .. 1d)", [3, None]),
        ("At > datetime(2026-06-01T10:30:00Z)", [1]),
        ("At < todatetime('2026-06-01')", [3, None]),
        ("N == 1 or N == 2 and Who == 'bob'", [1, 2]),
        ("(N == 1 or N == 2) and Who == 'bob'", [2]),
        ("iff(Ok, N, 0) == 2", [2]),
        ("case(N == 1, 'one', N == 2, 'two', 'many') == 'two'", [2]),
        ("strlen(Who) == 3 // a comment\n", [2]),
        ("tolower(Who) == 'alice' and toupper(Who) == 'ALICE'", [1, 3]),
        ("extract(':(\\\\d)', 1, Text) == '7'", [2]),
    ],
)
def test_where_keeps(condition: str, found: list[object]) -> None:
    assert names(condition) == found


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("Events | count", [[4]]),
        ("Empty | count", [[0]]),
        ("Empty", []),
        ("Events | take 1 | project Who", [["alice"]]),
        ("Events | limit 2 | count", [[2]]),
        ("Events | distinct Ok", [[True], [False]]),
        ("Events | order by N asc | project N", [[None], [1], [2], [3]]),
        ("Events | sort by N | project N", [[3], [2], [1], [None]]),
        ("Events | sort by N desc nulls first | project N", [[None], [3], [2], [1]]),
        ("Events | sort by Ok asc, N desc | project N", [[3], [None], [2], [1]]),
        ("Events | top 1 by At asc | project Who", [[""]]),
        ("Events | extend Next = N + 1, Name = strcat(Who, '!') | where N == 1 | project Next, Name", [[2, "alice!"]]),
        ("Events | project-away At, Text, Ok | take 1", [["alice", 1]]),
        ("Events | where N == 1 | project At", [["2026-06-01T11:00:00Z"]]),
        ("Events | where N == 1 | project now() - At", [["01:00:00"]]),
        ("Events | where N == 1 | project bin(At, 1d)", [["2026-06-01T00:00:00Z"]]),
        ("Events | where N == 2 | project N / 4, N / 4.0", [[0, 0.5]]),
        ("Events | summarize count() by Ok", [[True, 2], [False, 2]]),
        ("Events | summarize countif(Ok), dcount(Who), max(N), min(At)", [[2, 4, 3, "2026-05-31T05:00:00Z"]]),
        ("Events | summarize make_set(Who, 2) by Ok", [[True, '["alice","bob"]'], [False, '["Alice",""]']]),
        ("Events | summarize Last = max(At) by Day = bin(At, 1d) | top 1 by Day | project Last", [["2026-06-01T11:00:00Z"]]),
        ("Events | summarize arg_max(At, Who) by Ok | project Ok, Who", [[True, "alice"], [False, "Alice"]]),
        ("Events | summarize arg_min(N, *) | project N, Who", [[1, "alice"]]),
        ("Events | summarize sum(N), avg(N)", [[6, 2.0]]),
        ("Events | summarize by Ok", [[True], [False]]),
        ("Events | where N == 1 | project N / 0, N * 1e308 * 1e308, At + 3000000d", [[None, "Infinity", None]]),
        ("Empty | summarize count(), max(At)", [[0, None]]),
        ("Empty | summarize count() by At", []),
        ("let since = ago(1d); Events | where At > since | count", [[2]]),
        ("let few = dynamic(['bob']); Events | where Who in (few) | count", [[1]]),
        ("let Good = Events | where Ok; Good | count;", [[2]]),
    ],
)  # fmt: skip
def test_a_query_answers(query: str, rows: list[list[object]]) -> None:
    assert answer(query) == rows


@pytest.mark.parametrize(
    ("query", "titles"),
    [
        ("Events | summarize count(), dcount(Who), make_set(N), countif(Ok) by bin(At, 1h)",
         ["At", "count_", "dcount_Who", "set_N", "countif_"]),
        ("Events | summarize arg_max(At, *) by Who", ["Who", "At", "N", "Text", "Ok"]),
        ("Events | project N + 1, tostring(N), x = N", ["Column1", "N", "x"]),
    ],
)  # fmt: skip
def test_columns_get_the_names_that_kusto_gives_them(query: str, titles: list[str]) -> None:
    assert [name for name, _ in run(query, TABLES, NOW).columns] == titles


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("Nothing", "SEM0100"),
        ("Events | where Colour == 'red'", "SEM0100"),
        ("Events | project Colour", "SEM0100"),
        ("Events | project-away Colour", "SEM0100"),
        ("Events | sort by Colour", "SEM0100"),
        ("Events | summarize count() by Colour", "SEM0100"),
        ("Events | where frobnicate(Who)", "SEM0260"),
        ("Events | summarize N", "SEM0260"),
        ("Events | where Who == 1", "SEM0064"),
        ("Events | where At > '2026-01-01'", "SEM0064"),
        ("Events | where N has '1'", "SEM0064"),
        ("Events | where Who + 1 == 2", "SEM0064"),
        ("Events | where Who", "SEM0001"),
        ("Events | where ago(1) > At", "SEM0242"),
        ("Events | where strlen() == 1", "SEM0219"),
        ("Events | frob", "SYN0002"),
        ("Events | where", "SYN0002"),
        ("Events |", "SYN0002"),
        ("Events where N == 1", "SYN0002"),
        ("Events | where N ==== 1", "SYN0002"),
        ("Events | where Who == 'open", "SYN0002"),
        ("Events | take many", "SYN0002"),
        ("Events | where N == 1abc", "SYN0002"),
        ("Events | where At > datetime(yesterday)", "SYN0002"),
        ("Events | join kind=inner Empty on At", "SYN0002"),
        ("", "SYN0002"),
        ("Events | where " + "(" * 100 + "Ok" + ")" * 100, "SYN0002"),
        ("Events | where " + " or ".join(["Ok"] * 2000), "SEM0001"),
        ("Events | where N == " + "9" * 5000, "SYN0002"),
        ("Events | where At > ago(99999999999999d)", "SYN0002"),
    ],
)
def test_what_is_not_understood_is_an_error(query: str, code: str) -> None:
    with pytest.raises(KqlError) as wrong:
        answer(query)
    assert wrong.value.code == code


def test_a_syntax_error_names_its_place() -> None:
    with pytest.raises(KqlError) as wrong:
        answer("Events\n| where Ok\n| frob x")
    assert (wrong.value.line, wrong.value.pos, wrong.value.token) == (3, 3, "frob")


# --- any input ---


@given(st.text(max_size=60))
def test_any_text_is_answered_or_refused_but_never_breaks(text: str) -> None:
    for query in (text, f"Events | {text}", f"Events | where {text}"):
        with suppress(KqlError):
            run(query, TABLES, NOW)


@given(st.lists(st.sampled_from(
    ["Events", "|", "where", "summarize", "by", "count()", "N", "Who", "==", "'a'", "1", "(", ")", "and", "or", "in", ",",
     "extend", "x", "=", "-", "ago(1d)", "between", "..", "project", "take", "sort by", "max(N)", "*", "At", "not(", "bin("]
), max_size=12))  # fmt: skip
def test_any_order_of_words_is_answered_or_refused_but_never_breaks(words: list[str]) -> None:
    with suppress(KqlError):
        run("Events | " + " ".join(words), TABLES, NOW)


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=30))
def test_any_text_survives_as_a_literal_when_it_is_escaped(text: str) -> None:
    escaped = "".join({"\\": "\\\\", "'": "\\'", "\n": "\\n"}.get(one, one) for one in text)
    table = {"T": Table({"Text": "string"}, [{"Text": text}, {"Text": text + "x"}])}
    assert run(f"T | where Text == '{escaped}' | count", table, NOW).rows == [[1]]


@given(st.timedeltas(min_value=timedelta(days=-4000), max_value=timedelta(days=4000)))
def test_any_timespan_is_read_back_as_it_was_written(span: timedelta) -> None:
    assert parse_timespan(write_timespan(span)) == span


@given(st.lists(st.integers(-50, 50), max_size=30), st.integers(-50, 50))
def test_where_and_count_agree_with_python(numbers: list[int], limit: int) -> None:
    table = {"T": Table({"N": "long"}, [{"N": number} for number in numbers])}
    assert run(f"T | where N > {limit} | count", table, NOW).rows == [[sum(1 for one in numbers if one > limit)]]
    grouped = run("T | summarize n = count() by M = N % 3 | summarize sum(n)", table, NOW).rows
    assert grouped == [[len(numbers)]]
