import pytest

from kat_data.verifiers.keyword import contains


@pytest.mark.parametrize(
    ("text", "keyword", "found"),
    [
        ("The party", "art", False),
        ("Art.", "art", True),
        ("C++ and C", "c++", True),
        ("长城在北京", "北京", True),
        ("ＡＢＣ", "abc", True),
        ("snake_case", "case", False),
        ("anything", "", False),
    ],
)
def test_ascii_keywords_are_whole_words_and_others_parts(text: str, keyword: str, found: bool) -> None:
    assert contains(text, keyword) is found
