"""Intent directives: a user who says how much to think decides the mode of the turn (§4.1.1)."""

import re
from collections.abc import Iterator

from kat_data.domain.mode import Mode

_QUOTED = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|\"[^\"\n]*\"|“[^”]*”|«[^»]*»|「[^」]*」|『[^』]*』|(?m:^\s*>.*$)"
    r"|(?<!\w)['‘][^'‘’\n]*['’](?!\w)",
    re.DOTALL,
)

_SWITCHES = (
    (Mode.OFF, r"(?<![\w/.])/no[_-]?think\b(?![/.]\w)"),
    (Mode.ON, r"(?<![\w/.])/think\b(?![/.]\w)"),
)

# English phrases count only as commands: at the start of a clause, or after words that give one.
_ENGLISH_WISH = r"(?:i (?:want|need|would like) you to|i'd like you to)"
_ENGLISH_LEAD = (
    r"(?:^|(?<=[.!?;:,()\n，。！？；：—–-]))[\s*_]*"
    r"(?:(?:please|kindly|and|then|but|just|so|now|also|first|let'?s|let us"
    r"|you (?:should|must|can|may|need to|have to)|(?:be|make) sure to|try to|remember to|"
    rf"{_ENGLISH_WISH})\s+)*"
    rf"|\b(?:please|and|then|just|so|but|let'?s|{_ENGLISH_WISH}|(?:could|can|would|will) you(?: please)?)\s+"
)
_ENGLISH_NEVER = (
    r"(?:do not|don['’]?t|never|no need to|there(?:'s| is) no need to|need not"
    r"|you (?:do not|don['’]?t) (?:need|have) to)"
)
_ENGLISH_NOT = rf"(?P<not>(?:please\s+)?(?:{_ENGLISH_NEVER}|not)\s+)?"
_ENGLISH_END = (
    r"(?=\s*(?:$|[.,;:!?)\n*—–-]"
    r"|(?:and|just|or|at all|about it|about this|first|before|too|again|please)\b))"
)
_NOT_A_TOPIC = r"(?!\s*(?:prompt|method|technique|approach|instruction|paradigm|strateg|style)\w*)"
_ENGLISH = (
    (
        Mode.ON,
        r"(?:think|reason)\s+(?:(?:very|really|more)\s+)?"
        r"(?:carefully|hard|harder|deeply|thoroughly|(?:it|this|things) through|out loud|step[ -]by[ -]step"
        r"|before (?:you )?(?:answer|respond|reply)\w*|twice before (?:answer|respond|reply)ing)" + _NOT_A_TOPIC,
    ),
    (Mode.ON, r"take your time to (?:think|reason)"),
    (
        Mode.OFF,
        r"(?:answer|respond|reply)(?: (?:me|this|it))? "
        r"(?:directly|immediately|at once|instantly|right away|straight away)",
    ),
    (Mode.OFF, r"(?:answer|respond|reply|solve)\b[^.!?\n]{0,40}?\bwithout (?:any )?(?:thinking|reasoning|thought)"),
    (Mode.OFF, r"skip (?:the |any |all )?(?:thinking|reasoning)" + _ENGLISH_END),
    (Mode.OFF, r"no (?:thinking|reasoning)(?: is)?(?: (?:needed|required|necessary))?" + _ENGLISH_END),
)
# "think" alone is a command only when it is forbidden: "do not think", never "what do you think".
_ENGLISH_BARE = (
    _ENGLISH_NEVER + r" (?:think|reason)(?:\s+(?:too (?:much|long|hard)|long|at all|about it))?" + _ENGLISH_END
)

_CHINESE_LEAD = (
    r"(?:^|(?<=[\s，。！？；：、,.!?;:（(])|请|麻烦|务必|一定要|你?(?:需要|应该|必须|可以)|然后|并且?|[先再要你])"
)
_CHINESE_NOT = r"(?P<not>不要|不需要|不用|不必|无需|无须|请勿|切勿|别|勿)?(?:进行|做|任何|再)*"
_CHINESE = (
    (
        Mode.ON,
        r"(?:仔细|认真|深入|逐步|慢慢|好好|一步一步|一步步|充分|多加?)地?(?:进行)?(?:思考|推理|想一想|想想|想清楚)(?![了过着的])",
    ),
    (Mode.ON, r"(?:想清楚|想一想|思考(?:一下|清楚)?)(?:之?后)?[再才](?:回答|作答|给出)"),
    (Mode.OFF, r"(?:直接|立即|立刻|马上)(?:回答|作答|回复|给出?(?:最终|最后的?)?答案|告诉我(?:最终)?(?:答案|结果))"),
)
_CHINESE_BARE = (
    r"(?:不要|不需要|不用|不必|无需|无须|请勿|切勿|别|勿)(?:进行|做|任何|再|过多|太多)*(?:思考|推理)(?![了过着的])"
)


def directive(text: str) -> Mode | None:
    """Return the mode that the user asks for in so many words, none where there is no such wish.

    The last directive wins; a negated one asks for the other mode; quoted text and code are mention, not use.
    """
    found = max(_directives(_QUOTED.sub(" ¶ ", text)), default=None, key=lambda hit: hit[:2])
    return found[2] if found else None


def _directives(text: str) -> Iterator[tuple[int, int, Mode]]:
    """Yield the end, the length and the mode of every directive; of two that end together the longer one counts."""
    for mode, pattern in _RULES:
        for match in pattern.finditer(text):
            negated = "not" in pattern.groupindex and match["not"]
            yield match.end(), match.end() - match.start(), _OTHER[mode] if negated else mode


_OTHER = {Mode.ON: Mode.OFF, Mode.OFF: Mode.ON}


def _rule(mode: Mode, pattern: str) -> tuple[Mode, re.Pattern[str]]:
    return mode, re.compile(pattern, re.IGNORECASE | re.MULTILINE)


_RULES = (
    *(_rule(mode, pattern) for mode, pattern in _SWITCHES),
    *(_rule(mode, f"(?:{_ENGLISH_LEAD}){_ENGLISH_NOT}(?:{pattern})") for mode, pattern in _ENGLISH),
    _rule(Mode.OFF, f"(?:{_ENGLISH_LEAD})(?:{_ENGLISH_BARE})"),
    *(_rule(mode, f"{_CHINESE_LEAD}{_CHINESE_NOT}(?:{pattern})") for mode, pattern in _CHINESE),
    _rule(Mode.OFF, f"{_CHINESE_LEAD}(?:{_CHINESE_BARE})"),
)
