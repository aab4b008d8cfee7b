"""Every wording that ships is understood as what it asks for, wherever a run can put it."""

import re

import pytest

from kat_data.domain.directive import directive
from kat_data.domain.intent import Intent, Place
from kat_data.domain.mode import Mode
from kat_data.domain.template import unholdable
from kat_data.domain.text import fold
from kat_data.stages.parts.wordings import language_of, load_wordings

SETS = list(load_wordings("v1").items())
SHIPPED = [(language, mode, text) for (language, mode), found in SETS for text in (*found.user, *found.system)]
MESSAGES = (
    "If 3 men can dig a 3 meters ditch in 3 days, then how many meters can 9 men dig in 9 days?",
    "Simplify:\n$$x^2 - 1$$",
    "小明有12个苹果，吃了5个，还剩几个？",
)


@pytest.mark.parametrize(("language", "mode", "text"), SHIPPED, ids=[text for _, _, text in SHIPPED])
def test_a_wording_is_understood_at_every_place(language, mode, text):
    assert fold(text) == text
    assert unholdable(text) is None
    assert bool(re.search(r"[\u4e00-\u9fff]", text)) == (language == "zh") or text.startswith("/")
    for place in Place:
        intent = Intent(turn=0, mode=mode, place=place, text=text, wording=text)
        for message in MESSAGES:
            assert directive(message) is None
            held = intent.in_system(message) if place is Place.SYSTEM else intent.in_user(message, 0)
            assert directive(held) is mode, held


@pytest.mark.parametrize("message", MESSAGES)
def test_the_messages_alone_say_nothing(message):
    assert directive(message) is None


@pytest.mark.parametrize(("key", "found"), SETS, ids=["-".join(key) for key, _ in SETS])
def test_there_are_wordings_enough_and_none_stands_twice(key, found):
    assert len(found.user) >= 60
    assert len(found.system) >= 5
    for texts in (found.user, found.system):
        assert len({text.casefold() for text in texts}) >= len(texts) - 12  # shouted ones repeat calm ones
        assert len(set(texts)) == len(texts)


def test_both_languages_have_both_modes():
    assert [key for key, _ in SETS] == [(language, mode) for language in ("en", "zh") for mode in (Mode.OFF, Mode.ON)]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What is 3 + 4?", "en"),
        ("小明有12个苹果，吃了5个，还剩几个？", "zh"),
        ("用 Python 写一个函数，判断字符串是否为回文。", "zh"),
        ("Translate 你好 into English, please.", "en"),
        ("りんごは何個ありますか。", "en"),
        ("Combien font 3 + 4 ?", "en"),
        ("3 + 4 = ?", "en"),
    ],
)
def test_a_directive_speaks_the_querys_language(text, language):
    assert language_of(text) == language
