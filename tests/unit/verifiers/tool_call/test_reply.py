import pytest

from kat_data.domain.tool_call import ToolCall
from kat_data.verifiers.tool_call.reply import UnreadableCall, call_in_text, read_calls


def test_no_calls_are_none() -> None:
    assert read_calls(None) == read_calls("") == read_calls([]) == ()


def test_calls_without_arguments_have_none() -> None:
    assert (
        read_calls([{"name": "ping"}, {"name": "ping", "arguments": ""}]) == (ToolCall(name="ping", arguments={}),) * 2
    )


def test_what_is_no_call_says_so() -> None:
    with pytest.raises(UnreadableCall, match="a call is an object, not '7'"):
        read_calls([7])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<tool_call>\n{}", "<tool_call"),
        ("I run [spotify.play(artist='x')] now", "spotify.play(artist='"),
        ("play(1)", "play(1)"),
        ("The function play(x) plays x.", None),
        ("display(x=1)", None),
        ('{"name": "Ada", "age": 3}', None),
    ],
)
def test_a_call_in_the_text_is_found(text: str, found: str | None) -> None:
    assert call_in_text(text, {"spotify.play", "play"}) == found
