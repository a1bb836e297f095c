"""The places where bugs can be planted: many, in a fixed order, each a change that Python still reads."""

import ast
import random

import pytest
from mutation.__main__ import draw
from mutation.sites import ROOT, all_sites

SITES = all_sites()


def test_there_are_many_of_every_kind():
    kinds = {s.kind for s in SITES}
    assert len(SITES) >= 400
    assert kinds >= {
        *("sign", "comparison", "axis", "off by one", "condition dropped", "one function for another"),
        *("statement dropped", "barrier removed", "instruction", "wrong position", "swapped operands", "formula"),
    }


def test_the_order_is_fixed():
    assert all_sites() == SITES
    assert draw(SITES, 3, 60) == draw(SITES, 3, 60)
    assert len(set(draw(SITES, 3, 60))) == 60


@pytest.mark.parametrize("site", random.Random(1).sample(SITES, 60), ids=str)
def test_a_planted_bug_is_python_and_a_change(site):
    text = (ROOT / site.file).read_text(encoding="utf8")
    planted = site.apply(text)
    assert ast.dump(ast.parse(planted)) != ast.dump(ast.parse(text))


def test_a_site_of_another_tree_is_refused():
    with pytest.raises(ValueError, match="has changed"):
        SITES[0].apply("")
