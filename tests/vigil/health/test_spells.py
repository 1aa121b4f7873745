from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from vigil.health.judging import JudgedDay, State
from vigil.health.spells import Spell, go_on

FIRST = date(2026, 11, 1)
DAY = timedelta(days=1)
LETTERS: dict[str, State] = {"+": "inside", "-": "outside", "?": "unknown"}


def spells_of(days: str, length: int = 3) -> list[tuple[int, int | None]]:
    """Return the spells of days that are told one by one: + inside, - outside, ? unknown."""
    known: list[Spell] = []
    spell: Spell | None = None
    for last in range(len(days)):
        told = {
            FIRST + place * DAY: JudgedDay(LETTERS[days[place]] if place >= 0 else "unknown")
            for place in range(last - length + 1, last + 1)
        }
        after = go_on(spell, "orders", told)
        if after is not None and after != spell:
            known = [*(known if spell is None or after.began != spell.began else known[:-1]), after]
        spell = after
    return [((one.began - FIRST).days, (one.ended - FIRST).days if one.ended else None) for one in known]


def test_two_bad_days_open_nothing_and_three_do() -> None:
    assert spells_of("--") == []
    assert spells_of("---") == [(0, None)]
    assert spells_of("+--+--+") == []
    assert spells_of("+---") == [(1, None)]


def test_a_spell_is_one_until_a_day_is_inside() -> None:
    assert spells_of("-------") == [(0, None)]
    assert spells_of("---+") == [(0, 3)]
    assert spells_of("---+--") == [(0, 3)]
    assert spells_of("---+---") == [(0, 3), (4, None)]


def test_a_day_of_which_nothing_is_known_neither_opens_nor_ends() -> None:
    assert spells_of("--?--") == []
    assert spells_of("--?---") == [(3, None)]
    assert spells_of("---??-") == [(0, None)]
    assert spells_of("---??+") == [(0, 5)]


def test_days_of_a_spell_that_has_ended_open_no_other_when_a_recount_turns_them() -> None:
    ended = Spell("orders", FIRST, FIRST + 3 * DAY)
    turned = {FIRST + place * DAY: JudgedDay("outside") for place in (2, 3, 4)}
    assert go_on(ended, "orders", turned) == ended
    later = {FIRST + place * DAY: JudgedDay("outside") for place in (4, 5, 6)}
    assert go_on(ended, "orders", later) == Spell("orders", FIRST + 4 * DAY)


@given(st.text("+-?", max_size=40), st.integers(1, 5))
def test_spells_follow_each_other_and_each_has_its_days(days: str, length: int) -> None:
    found = spells_of(days, length)
    before = -1
    for began, ended in found:
        assert began > before
        assert days[began : began + length] == "-" * length
        assert "+" not in days[began : len(days) if ended is None else ended]
        if ended is not None:
            assert days[ended] == "+"
        before = len(days) if ended is None else ended
    # And none is missed: outside of spells there are never so many bad days on end.
    rest = list(days)
    for began, ended in found:
        rest[began:ended] = "+" * ((len(days) if ended is None else ended) - began)
    assert "-" * length not in "".join(rest)
