"""Telling thinking and answer apart in the text of one reply."""

import re

_PARTS = re.compile(r"^\s*#+\s*(?:thinking|reflection)\b[ :]*", re.IGNORECASE)
_ANSWER = re.compile(r"^[ \t]*#+[ \t]*(?:final )?answer[ \t]*:?[ \t]*$", re.IGNORECASE | re.MULTILINE)


def split_tagged(text: str) -> tuple[str, str]:
    """Return thinking and answer of a reply whose thinking ends with `</think>`; without the tag all is answer.

    Endpoints that do not set reasoning apart send it so, some without the opening tag.
    """
    thinking, tag, answer = text.partition("</think>")
    return (thinking.replace("<think>", "", 1), answer) if tag else ("", text)


def split_headed(text: str) -> tuple[str, str]:
    """Return thinking and answer of a reply in two parts under the headings that prompts ask for.

    Where the heading of the answer is missing, the last paragraph is the answer; a single paragraph is an answer without thinking.
    """
    text = _PARTS.sub("", text.strip())
    if heading := _ANSWER.search(text):
        return text[: heading.start()].strip(), text[heading.end() :].strip()
    thinking, _, answer = text.rpartition("\n\n")
    return thinking.strip(), answer.strip()
