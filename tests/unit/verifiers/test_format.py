import pytest

from kat_data.verifiers.format import count_words, read_json


@pytest.mark.parametrize(
    ("text", "words"),
    [("It's a state-of-the-art fan", 4), ("机器学习 is 有趣", 7), ("", 0), ("1,000.5 m", 2), ("...", 0)],
)
def test_words_are_counted_and_chinese_by_characters(text: str, words: int) -> None:
    assert count_words(text) == words


def test_json_is_read_bare_or_from_one_fence() -> None:
    assert read_json('```json\n{"a": 1}\n```') == read_json('{"a": 1}') == {"a": 1}
    with pytest.raises(ValueError, match="unexpected"):
        read_json('so: {"a": 1}')
