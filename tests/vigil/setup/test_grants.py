from __future__ import annotations

import pytest

from vigil.setup.grants import covers


@pytest.mark.parametrize(
    "scope",
    ["*.*", "`vigil_a`.*", "vigil_a.*", "`vigil%`.*", "`vigil_%`.*", r"`vigil\_a`.*", "`_igil_a`.*", "`%`.*"],
)
def test_a_scope_that_holds_the_schema(scope):
    assert covers(scope, "vigil_a")


@pytest.mark.parametrize(
    "scope",
    ["`vigil`.*", "`vigil_a`.`alerts`", r"`vigil\%`.*", r"`vigil\_`.*", "`xvigil_a`.*", "`vigil_a_`.*"],
)
def test_a_scope_that_does_not(scope):
    assert not covers(scope, "vigil_a")


def test_an_escaped_wildcard_is_itself():
    assert covers(r"`50\%`.*", "50%")
    assert not covers(r"`vigil\_a`.*", "vigilxa")
