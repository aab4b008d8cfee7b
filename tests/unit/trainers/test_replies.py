import pytest

from kat_data.domain.mode import Mode
from kat_data.domain.tool_call import ToolCall
from trainers.replies import read

OFF = "<judge>\neasy\n</judge>\n\n<think_off>\n<answer>\n2\n</answer>"
ON = "<judge>\nhard\n</judge>\n\n<think_on>\n<think>\n1+1\n</think>\n<answer>\n2\n</answer>"


def test_a_well_formed_completion_says_its_mode_and_its_answer() -> None:
    found = read(ON)
    assert found is not None
    assert (found.mode, found.thinking, found.answer, found.tool_calls) == (Mode.ON, "1+1", "2", ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2",
        OFF[:-1],
        OFF + "\n",
        OFF.replace("think_off", "think_on"),
        ON.replace("think_on", "think_off"),
        ON.replace("<answer>\n2", "<answer>\n2\n</answer>\n<answer>\n3"),
        OFF + '\n<tool_call>{"name": 1, "arguments": {}}</tool_call>',
        OFF + "\n<tool_call>{nonsense}</tool_call>",
        OFF + '\n<tool_call>{"arguments": {}}</tool_call>',
    ],
)
def test_any_other_form_says_nothing(text: str) -> None:
    assert read(text) is None


def test_calls_of_tools_follow_the_answer() -> None:
    calls = '\n<tool_call>{"name": "f", "arguments": {"x": {"y": 1}}}</tool_call>'
    found = read(OFF + calls + calls.replace('"f"', '"g"'))
    assert found is not None
    arguments = {"x": {"y": 1}}
    assert found.tool_calls == (ToolCall(name="f", arguments=arguments), ToolCall(name="g", arguments=arguments))
    assert found.answer == "2"
