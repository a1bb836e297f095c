"""The places where bugs can be planted: many, in a fixed order, each a change that Python still reads."""

import ast
import random
from dataclasses import replace

import pytest
from coverage import CoverageData
from mutation.__main__ import draw
from mutation.reach import Reach, named_near
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


def test_tests_that_run_the_line_go_first_if_they_are_still_there(tmp_path):
    site = next(s for s in SITES if s.file == "symgrad/shape.py")
    slow, quick = "test_the_order_is_fixed", "test_there_are_many_of_every_kind"
    other = "test_a_table_names_the_tests_of_its_rows"
    data = CoverageData(str(tmp_path / "data"))
    for test, line in ((slow, site.line), (quick, site.line), ("test_that_is_gone", site.line), (other, 1)):
        data.set_context(f"tests.test_mutation.{test}")
        data.add_lines({str(ROOT / site.file): [line]})
    data.write()
    cases = ((f"{slow}[a]", 3), (f"{slow}[b]", 4), (quick, 5), (other, 1), ("test_that_is_gone", 1))
    lines = "".join(f'<testcase classname="tests.test_mutation" name="{name}" time="{time}"/>' for name, time in cases)
    (tmp_path / "times-0.xml").write_text(f"<testsuite>{lines}</testsuite>", encoding="utf8")
    assert Reach(tmp_path).first(site) == [f"tests/test_mutation.py::{name}" for name in (quick, slow)]


def test_a_table_names_the_tests_of_its_rows():
    site = next(s for s in SITES if s.kind == "formula" and s.file.startswith("symgrad/ops/"))
    text = (ROOT / site.file).read_text(encoding="utf8")
    assert named_near(site, text)
    assert named_near(replace(site, line=1), '"""A text of several words."""') == ""
