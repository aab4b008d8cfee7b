"""Telling thinking and answer apart in the text of one reply."""

import re

_FIRST = re.compile(r"^#+[ \t]*(?:thinking|reflection|思考|反思)[ \t]*[:：]?[ \t]*$", re.IGNORECASE | re.MULTILINE)
_SECOND = re.compile(
    r"^[ \t]*#+[ \t]*(?:(?:final |improved )?answer|答案|回答)[ \t]*[:：]?[ \t]*$", re.IGNORECASE | re.MULTILINE
)


def split_tagged(text: str) -> tuple[str, str]:
    """Return thinking and answer of a reply whose thinking ends with `</think>`; without the tag all is answer.

    Endpoints that do not set reasoning apart send it so, some without the opening tag.
    """
    thinking, tag, answer = text.partition("</think>")
    return (thinking.replace("<think>", "", 1), answer) if tag else ("", text)


def split_headed(text: str) -> tuple[str, str]:
    """Return thinking and answer of a reply in two parts, under the headings that prompts ask for.

    Without the second heading the answer is the first code block and what follows, else the last paragraph; a single
    paragraph is an answer without thinking.
    """
    text = _FIRST.sub("", text.strip(), count=1)
    if heading := _SECOND.search(text):
        return text[: heading.start()].strip(), text[heading.end() :].strip()
    start = text.find("```") if "```" in text else text.rfind("\n\n")
    return text[: max(start, 0)].strip(), text[max(start, 0) :].strip()
