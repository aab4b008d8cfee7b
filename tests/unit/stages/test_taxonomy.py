"""The shipped taxonomy is whole, and a user's extends it."""

import pytest
from pydantic import ValidationError

from kat_data.domain.category import Category
from kat_data.stages.taxonomy import OTHER, Subject, Taxonomy, shipped_taxonomy


def read(**parts):
    return Taxonomy.model_validate(parts)


def test_every_shipped_name_has_its_line_and_other_comes_last():
    taxonomy = shipped_taxonomy()
    assert all(subject.about and "\n" not in subject.about for _, subject, _ in taxonomy.walk())
    assert taxonomy.names()[-1] == OTHER
    assert len(taxonomy.names()) > 40


@pytest.mark.parametrize("category", Category)
def test_every_category_has_five_levels(category):
    assert list(shipped_taxonomy().anchors(category)) == [1, 3, 5, 7, 9]


def test_hints_are_handed_down():
    hints = {name: subject.category for name, subject, _ in shipped_taxonomy().walk()}
    assert (hints["mathematics"], hints["number theory"]) == (Category.MATH, Category.MATH)
    assert hints[OTHER] is None


def test_an_extension_adds_subjects_replaces_lines_and_keeps_other_last():
    base = read(domains={"a": {"about": "A", "subjects": {"b": {"about": "B"}}}, "other": {}})
    own = read(domains={"a": {"about": "AA", "subjects": {"c": {"about": "C"}}}, "d": {"category": "code"}})
    found = base.extended(own)
    assert [(name, subject.about, depth) for name, subject, depth in found.walk()] == [
        ("a", "AA", 0),
        ("b", "B", 1),
        ("c", "C", 1),
        ("d", "", 0),
        ("other", "", 0),
    ]
    assert found.domains["d"] == Subject(category=Category.CODE)


def test_levels_and_labels_are_replaced_whole():
    base = read(
        difficulty={"any": {1: "easy"}, "math": {1: "one", 9: "nine"}},
        labels={"x": {"about": "", "values": ["a", "b"]}},
    )
    own = read(difficulty={"math": {5: "five"}}, labels={"x": {"about": "", "values": ["c", "d"]}})
    found = base.extended(own)
    assert found.anchors(Category.MATH) == {5: "five"}
    assert found.anchors(Category.CODE) == {1: "easy"}
    assert found.labels["x"].values == ("c", "d")


def test_a_taxonomy_that_stands_alone_keeps_nothing():
    alone = read(alone=True, domains={"mine": {}})
    assert shipped_taxonomy().extended(alone) == alone
    assert alone.anchors(Category.MATH) == {}


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"domains": {"a": {"subjects": {"b": {}}}, "B": {}}}, "the name `b` stands twice"),
        ({"difficulty": {"math": {0: "x"}}}, "math: difficulty goes from 1 to 10, and not to 0"),
        ({"difficulty": {"maths": {1: "x"}}}, "difficulty"),
        ({"labels": {"x": {"about": "", "values": ["one"]}}}, "at least 2"),
        ({"domians": {}}, "domians"),
    ],
)
def test_mistakes_are_named(parts, problem):
    with pytest.raises(ValidationError, match=problem):
        Taxonomy.model_validate(parts)


def test_an_extension_whose_name_stands_elsewhere_is_refused():
    with pytest.raises(ValidationError, match="`physics` stands twice"):
        shipped_taxonomy().extended(read(domains={"mathematics": {"subjects": {"physics": {}}}}))
