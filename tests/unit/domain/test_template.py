"""The template: render and parse are inverse, and whatever it cannot hold is refused by name."""

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kat_data.domain.mode import Mode
from kat_data.domain.sample import Sample, Turn
from kat_data.domain.template import (
    RESERVED_TAGS,
    ParsedTurn,
    add_trigger,
    parse,
    parse_completion,
    parse_messages,
    render,
    render_completion,
    render_messages,
    render_prompt_completion,
    split_trigger,
    unholdable,
)
from kat_data.domain.tool_call import ToolCall
from kat_data.errors import TemplateError

NEAR_MISSES = [
    "<Think>",
    "<think >",
    "< think>",
    "</ answer>",
    "<think_on",
    "think_off>",
    "<judge",
    "&lt;think&gt;",
    "<thinking>",
    "\n",
]

pieces = st.one_of(
    st.sampled_from(NEAR_MISSES), st.text(max_size=12), st.sampled_from(["\u0301", "e\u0301", "中文", "> \u0338", "🧮"])
)
texts = st.lists(pieces, max_size=6).map("".join)
fields = texts.map(lambda t: unicodedata.normalize("NFC", t).strip()).filter(lambda t: t and unholdable(t) is None)
arguments = st.dictionaries(
    fields,
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | fields,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(fields, inner, max_size=3),
        max_leaves=4,
    ),
    max_size=3,
)
calls = st.builds(ToolCall, name=fields, arguments=arguments)


@st.composite
def turns(draw: st.DrawFn) -> Turn:
    mode = draw(st.sampled_from(Mode))
    return Turn(
        user=draw(fields),
        judge_analysis=draw(fields),
        mode=mode,
        thinking=draw(fields) if mode is Mode.ON else "",
        answer=draw(fields),
        tool_calls=tuple(draw(st.lists(calls, max_size=2))),
    )


results = texts.map(lambda t: unicodedata.normalize("NFC", t).strip()).filter(lambda t: unholdable(t) is None)


@st.composite
def trajectories(draw: st.DrawFn) -> tuple[Turn, ...]:
    """Turns of which some answer the results of the one before."""
    drawn = draw(st.lists(turns(), min_size=1, max_size=4))
    for index, turn in enumerate(drawn[:-1]):
        if turn.tool_calls and draw(st.booleans()):
            drawn[index] = replace(turn, results=tuple(draw(results) for _ in turn.tool_calls))
            drawn[index + 1] = replace(drawn[index + 1], user="")
    # Replacing an earlier turn above must not lose that it answers results itself.
    return tuple(replace(t, user="") if i and drawn[i - 1].results else t for i, t in enumerate(drawn))


samples = st.builds(
    Sample,
    system=st.none() | fields,
    tools=st.just(({"type": "function", "function": {"name": "f"}},)) | st.just(()),
    turns=trajectories(),
)

ON = Turn(user="2+2?", judge_analysis="Simple, yet asked with care.", mode=Mode.ON, thinking="2+2=4", answer="4")
OFF = replace(ON, mode=Mode.OFF, thinking="")


def test_the_two_forms_are_the_paper_s_table_2() -> None:
    assert render(ON) == (
        "<judge>\nSimple, yet asked with care.\n</judge>\n\n"
        "<think_on>\n<think>\n2+2=4\n</think>\n<answer>\n4\n</answer>"
    )
    assert render(OFF) == "<judge>\nSimple, yet asked with care.\n</judge>\n\n<think_off>\n<answer>\n4\n</answer>"


def test_stage_1_has_a_trigger_and_no_judge() -> None:
    prompt, completion = render_prompt_completion(Sample(system="Be kind.", tools=(), turns=(OFF, ON)))
    assert prompt == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "2+2?"},
        {"role": "assistant", "content": "4"},
        {"role": "user", "content": "2+2?\n<think_on>"},
    ]
    assert completion == [{"role": "assistant", "content": "<think>\n2+2=4\n</think>\n<answer>\n4\n</answer>"}]


@given(turns())
def test_parse_is_the_inverse_of_render(turn: Turn) -> None:
    expected = ParsedTurn(
        judge_analysis=turn.judge_analysis, mode=turn.mode, thinking=turn.thinking, answer=turn.answer
    )
    assert parse(render(turn)) == expected
    assert parse_completion(render_completion(turn), turn.mode) == replace(expected, judge_analysis="")
    assert split_trigger(add_trigger(turn.user, turn.mode)) == (turn.user, turn.mode)


@given(samples)
def test_parse_messages_is_the_inverse_of_render_messages(sample: Sample) -> None:
    assert parse_messages(render_messages(sample), sample.tools) == sample


LOOK = replace(OFF, user="Weather?", answer="I look.", tool_calls=(ToolCall(name="f", arguments={"x": 1}),) * 2)
TRAJECTORY = Sample(
    system=None, tools=(), turns=(replace(LOOK, results=("sun", "")), replace(ON, user="", answer="Sunny."))
)


def test_results_are_messages_of_tools_with_the_ids_of_their_calls() -> None:
    _, assistant, first, second, last = render_messages(TRAJECTORY)
    assert [call["id"] for call in assistant["tool_calls"]] == ["call_0_0", "call_0_1"]
    assert first == {"role": "tool", "content": "sun", "tool_call_id": "call_0_0", "name": "f"}
    assert (second["content"], second["tool_call_id"]) == ("", "call_0_1")
    assert last["content"].endswith("<answer>\nSunny.\n</answer>")


def test_a_prompt_for_a_turn_that_answers_results_has_its_trigger_at_the_user_s_message() -> None:
    prompt, completion = render_prompt_completion(TRAJECTORY)
    assert [message["role"] for message in prompt] == ["user", "assistant", "tool", "tool"]
    assert prompt[0]["content"] == "Weather?\n<think_on>"
    assert completion[0]["content"].startswith("<think>\n2+2=4")


@pytest.mark.parametrize(
    ("turns", "why"),
    [
        ((replace(LOOK, results=("sun", "rain")),), "no turn answers"),
        ((replace(LOOK, results=("sun",)), replace(ON, user="")), "1 for 2 calls"),
        ((replace(LOOK, results=("sun", "rain")), ON), "user: must be empty"),
        ((LOOK, replace(ON, user="")), "user: is empty"),
        ((replace(LOOK, results=("<think>", "")), replace(ON, user="")), "results: holds the reserved tag"),
        ((replace(LOOK, results=(" sun", "")), replace(ON, user="")), "results: begins or ends"),
    ],
)
def test_results_that_do_not_fit_their_calls_are_refused(turns: tuple[Turn, ...], why: str) -> None:
    with pytest.raises(TemplateError, match=why):
        render_messages(Sample(system=None, tools=(), turns=turns))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"tool_call_id": "call_0_1"}, "in the order of the calls"),
        ({"name": "g"}, "in the order of the calls"),
        ({"content": None}, "role tool with a text"),
        ({"content": "</answer>"}, "reserved tag"),
        ({"role": "user"}, "role assistant"),
    ],
)
def test_a_tool_s_message_that_render_does_not_write_is_refused(change: dict[str, object], why: str) -> None:
    messages = render_messages(TRAJECTORY)
    messages[2] |= change
    with pytest.raises(TemplateError, match=why):
        parse_messages(messages)
    with pytest.raises(TemplateError):
        parse_messages([*render_messages(TRAJECTORY), render_messages(TRAJECTORY)[2]])


@given(turns(), st.data())
def test_a_text_that_is_accepted_is_exactly_what_render_writes(turn: Turn, data: st.DataObject) -> None:
    text = render(turn)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 6)))
    mutated = text[:start] + data.draw(pieces | st.sampled_from(RESERVED_TAGS)) + text[end:]
    assume(mutated != text)
    try:
        parsed = parse(mutated)
    except TemplateError:
        return
    again = Turn(
        user="u", judge_analysis=parsed.judge_analysis, mode=parsed.mode, thinking=parsed.thinking, answer=parsed.answer
    )
    assert render(again) == mutated


@given(texts)
def test_unholdable_agrees_with_what_render_refuses(text: str) -> None:
    turn = replace(OFF, answer=text)
    if text and unholdable(text) is None:
        assert parse(render(turn)).answer == text
    else:
        with pytest.raises(TemplateError, match=r"^answer: "):
            render(turn)


@pytest.mark.parametrize("tag", RESERVED_TAGS)
@pytest.mark.parametrize("field", ["judge_analysis", "thinking", "answer", "user"])
def test_a_reserved_tag_is_refused_by_field(tag: str, field: str) -> None:
    sample = Sample(system=None, tools=(), turns=(replace(ON, **{field: f"before {tag} after"}),))
    with pytest.raises(TemplateError, match=f"^{field}: holds the reserved tag {tag}$"):
        render_messages(sample)


@pytest.mark.parametrize("near_miss", NEAR_MISSES)
def test_a_near_miss_is_ordinary_text(near_miss: str) -> None:
    assert unholdable(f"a{near_miss}b") is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (" x", "white space"),
        ("x\n", "white space"),
        ("x\u3000", "white space"),
        ("cafe\u0301", "NFC"),
        ("x\ud800", "surrogate"),
        ("a<answer>b", "<answer>"),
    ],
)
def test_unholdable_says_why(text: str, why: str) -> None:
    assert why in (unholdable(text) or "")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"judge_analysis": ""}, "judge_analysis"),
        ({"thinking": ""}, "thinking"),
        ({"answer": ""}, "answer"),
        ({"mode": Mode.OFF}, "thinking"),
        ({"tool_calls": (ToolCall(name="", arguments={}),)}, "tool_calls"),
        ({"tool_calls": (ToolCall(name="f", arguments={"x": "<think>"}),)}, "tool_calls"),
        ({"tool_calls": (ToolCall(name="f", arguments={"x": float("nan")}),)}, "tool_calls"),
        ({"tool_calls": (ToolCall(name="f", arguments={"x": 2**70}),)}, "tool_calls"),
        ({"tool_calls": (ToolCall(name="f", arguments={"x": object()}),)}, "tool_calls"),
    ],
)
def test_render_names_the_field_that_it_refuses(changes: dict[str, object], field: str) -> None:
    with pytest.raises(TemplateError, match=f"^{field}: "):
        render_messages(Sample(system=None, tools=(), turns=(replace(ON, **changes),)))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4",
        "<answer>\n4\n</answer>",
        "<judge>\nj\n</judge>\n\n<think_on>\n<answer>\n4\n</answer>",
        "<judge>\nj\n</judge>\n\n<think_off>\n<think>\nt\n</think>\n<answer>\n4\n</answer>",
        "<judge>\nj\n</judge>\n<think_off>\n<answer>\n4\n</answer>",
        "<judge>\nj\n</judge>\n\n<think_off>\n<answer>\n\n</answer>",
        "<judge>\n j\n</judge>\n\n<think_off>\n<answer>\n4\n</answer>",
        "<judge>\nj\n</judge>\n\n<think_off>\n<answer>\n4\n</answer>\n",
        "<judge>\nj\n</judge>\n\n<think_maybe>\n<answer>\n4\n</answer>",
        "<judge>\nj\n</judge>\n\n<think_off>\n<answer>\n4\n</answer>\n<answer>\n5\n</answer>",
        "<judge>\n\n</judge>\n\n<think_off>\n<answer>\n4\n</answer>",
    ],
)
def test_parse_refuses_what_render_does_not_write(text: str) -> None:
    with pytest.raises(TemplateError):
        parse(text)


@pytest.mark.parametrize("text", ["2+2?", "<think_on>", "2+2? <think_on>", "2+2?\n<think_on>\n", " 2+2?\n<think_on>"])
def test_a_malformed_trigger_is_refused(text: str) -> None:
    with pytest.raises(TemplateError, match=r"^user: "):
        split_trigger(text)


@pytest.mark.parametrize(
    "messages",
    [
        [],
        [{"role": "system", "content": "s"}],
        [{"role": "user", "content": "u"}],
        [{"role": "assistant", "content": render(OFF)}, {"role": "user", "content": "u"}],
        [{"role": "user", "content": "u"}, {"role": "assistant", "content": None}],
        [{"role": "user", "content": "u"}, {"role": "assistant", "content": "4"}],
        [{"role": "user", "content": ""}, {"role": "assistant", "content": render(OFF)}],
        [
            {"role": "user", "content": "u"},
            {"role": "assistant", "content": render(OFF), "tool_calls": [{"name": "f"}]},
        ],
        [
            {"role": "user", "content": "u"},
            {
                "role": "assistant",
                "content": render(OFF),
                "tool_calls": [{"function": {"name": "f", "arguments": "[1]"}}],
            },
        ],
    ],
)
def test_malformed_messages_are_refused(messages: list[dict[str, object]]) -> None:
    with pytest.raises(TemplateError):
        parse_messages(messages)
