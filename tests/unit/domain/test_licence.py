"""Licences that are the same under several names, and what a list of allowed ones covers."""

import pytest

from kat_data.domain.licence import allowed, canonical


@pytest.mark.parametrize(
    ("spelling", "one"),
    [
        ("Apache-2.0", "apache-2.0"),
        ("apache 2.0", "apache-2.0"),
        ("Apache License 2.0", "apache-2.0"),
        ("Apache License, Version 2.0", "apache-2.0"),
        ("Apache2", "apache-2.0"),
        ("MIT", "mit"),
        (" The MIT License ", "mit"),
        ("MIT License (Expat)", "mit"),
        ("BSD_3_Clause", "bsd-3-clause"),
        ("New BSD License", "bsd-3-clause"),
        ("CC-BY-4.0", "cc-by-4.0"),
        ("cc by 4.0", "cc-by-4.0"),
        ("Creative Commons Attribution 4.0 International", "cc-by-4.0"),
        ("Creative Commons Attribution-ShareAlike 4.0 International License", "cc-by-sa-4.0"),
        ("CC BY-NC-SA v4.0", "cc-by-nc-sa-4.0"),
        ("CC0", "cc0-1.0"),
        ("CC0-1.0", "cc0-1.0"),
        ("odc-by", "odc-by-1.0"),
        ("GPL-3.0", "gpl-3.0-only"),
        ("GNU GPL v3", "gpl-3.0-only"),
        ("GPL-2.0+", "gpl-2.0-or-later"),
        ("LGPL-2.1-or-later", "lgpl-2.1-or-later"),
        ("our own terms", "our-own-terms"),
        ("unknown", "unknown"),
        ("License", "license"),
    ],
)
def test_one_name_for_every_spelling(spelling: str, one: str) -> None:
    assert canonical(spelling) == one
    assert canonical(one) == one


@pytest.mark.parametrize("other", ["CC-BY-SA-4.0", "CC-BY-3.0", "cc-by", "CC-BY-NC-4.0", "CC-BY-4.0-or-so"])
def test_what_is_like_another_licence_is_not_that_one(other: str) -> None:
    assert not allowed(other, ["CC-BY-4.0"])


@pytest.mark.parametrize(
    ("expression", "allow", "covered"),
    [
        ("MIT", ["mit"], True),
        ("MIT", ["Apache-2.0"], False),
        ("MIT", [], False),
        ("MIT OR GPL-3.0", ["MIT"], True),
        ("MIT AND GPL-3.0", ["MIT"], False),
        ("MIT AND GPL-3.0", ["MIT", "GPL-3.0-only"], True),
        ("CC-BY-NC-4.0 OR MIT AND Apache-2.0", ["MIT", "Apache 2"], True),
        ("(MIT OR GPL-3.0) AND CC-BY-4.0", ["MIT", "CC BY 4.0"], True),
        ("(MIT OR GPL-3.0) AND CC-BY-4.0", ["MIT", "GPL-3.0"], False),
        ("(MIT) OR (CC0)", ["CC0"], True),
        ("research or personal use", ["research"], False),
        ("Research OR commerce", ["research"], True),
        ("", ["MIT"], False),
        ("unknown", ["Unknown"], True),
        ("GPL-2.0 WITH Classpath-exception-2.0", ["GPL-2.0"], False),
        ("((MIT", ["MIT"], False),
    ],
)
def test_what_a_list_covers(expression: str, allow: list[str], covered: bool) -> None:
    assert allowed(expression, allow) is covered


def test_an_empty_name_allows_nothing() -> None:
    assert not allowed("", [""])
