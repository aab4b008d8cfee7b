import pytest

from kat_data.domain.mode import Mode
from kat_data.stages.parts.claimed_mode import claimed_mode


@pytest.mark.parametrize(
    "text",
    [
        "A slip is easy, so reasoning step by step is worthwhile.",
        "This requires careful, multi-step reasoning.",
        "The steps depend on each other, which calls for thinking first.",
        "题目需要多步推理。",
        "So think_on suits.",
    ],
)
def test_words_for_reasoning_claim_think_on(text):
    assert claimed_mode(text) is Mode.ON


@pytest.mark.parametrize(
    "text",
    [
        "Nothing has to be worked out, so a direct answer is enough.",
        "The steps are straightforward and do not require any complex reasoning.",
        "No need for reasoning.",
        "One fact; step-by-step reasoning is not needed.",
        "这是一步减法的简单应用题，不需要多步推理，直接回答即可。",
        "The reasoning is straightforward and does not require multiple steps.",
        "The mode is think_off.",
    ],
)
def test_words_against_reasoning_claim_think_off(text):
    assert claimed_mode(text) is Mode.OFF


@pytest.mark.parametrize(
    "text",
    [
        "The task asks for the sum of two rates.",
        "No reasoning is required to start, but the proof needs careful thinking.",
        "",
    ],
)
def test_a_text_without_claim_or_with_both_claims_nothing(text):
    assert claimed_mode(text) is None
