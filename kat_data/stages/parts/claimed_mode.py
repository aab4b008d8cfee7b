"""Which mode a judge analysis argues for, as far as its words tell."""

import re

from kat_data.domain.mode import Mode

_OFF = re.compile(
    r"\bthink_off\b"
    r"|\bdirect(?:ly)? (?:answer\w*|response|reply|writing|retrieval)(?: (?:is|are|will be|would be|should be))?"
    r" (?:enough|suffic\w+|adequate)"
    r"|(?:\bno\b|\bnot\b|n['’]t\b|\bwithout\b|\bunnecessary\b)[^.;!?。]{0,40}"
    r"\b(?:reasoning|thinking|deliberation|(?:multiple|several|additional|further|complex) (?:steps|calculations?))\b"
    r"|\b(?:reasoning|thinking|deliberation)\b[^.;!?。]{0,20}\b(?:not|un|n['’]t) ?(?:needed|necessary|required)"
    r"|(?:不|无)(?:需要?|必|用)[^。；！？]{0,10}(?:推理|思考)|直接(?:回答|作答)(?:即可|就|足)",
    re.IGNORECASE,
)
_ON = re.compile(
    r"\bthink_on\b"
    r"|\b(?:requires?|needs?|deserves?|demands?|benefits? from|calls? for|pays to|worth\w*)\b"
    r"[^.;!?。]{0,40}\b(?:reason(?:ing)?|think(?:ing)?|deliberation)\b"
    r"|\b(?:reasoning|thinking|deliberation)\b[^.;!?。]{0,20}\b(?:worthwhile|needed|necessary|required|warranted)"
    r"|需要?[^。；！？不]{0,8}(?:推理|思考)",
    re.IGNORECASE,
)


def claimed_mode(text: str) -> Mode | None:
    """Return the mode that `text` argues for; none where it argues for neither or speaks of both."""
    rest = _OFF.sub(" ", text)
    off, on = rest != text, bool(_ON.search(rest))
    if on == off:
        return None
    return Mode.ON if on else Mode.OFF
