"""Intent directives: a user who says how much to think decides the mode of the turn (§4.1.1)."""

import re
from collections.abc import Iterator, Sequence
from functools import cache

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
    r"(?:do not|don['’]?t|never|(?:let['’]?s|let us) not|no need to|there(?:['’]?s| is) no need to|need not"
    r"|you (?:do not|don['’]?t) (?:need|have) to)"
)
_ENGLISH_NOT = rf"(?P<not>(?:please\s+)?(?:{_ENGLISH_NEVER}|not)\s+)?"
_ENGLISH_END = (
    r"(?=\s*(?:$|[.,;:!?)\n*—–-]"
    r"|(?:and|just|or|at all|about it|about this|first|before|too|again|please|here|now|this time|for (?:it|this)"
    r"|thanks)\b))"
)
_NOT_A_TOPIC = r"(?!\s*(?:prompt|method|technique|approach|instruction|paradigm|strateg|style)\w*)"
_AT_ONCE = r"(?:directly|immediately|at once|instantly|right away|straight away)"
_THOUGHT = r"(?:thinking|reasoning|deliberation|chain of thought)"
_ENOUGH = r"(?:will do|suffices|is (?:fine|enough|all i need))"
_HAVE_THOUGHT = r"you(?: have|['’]ve) (?:thought|reasoned)"
_ENGLISH = (
    (
        Mode.ON,
        r"(?:think|reason)\s+(?:(?:very|really|more)\s+)?"
        r"(?:carefully|long and hard|hard|harder|deeply|deeper|thoroughly|(?:it|this|things) (?:through|over|out)"
        r"|out loud|step[ -]by[ -]step"
        r"|before (?:you )?(?:answer|respond|reply)\w*|twice before (?:answer|respond|reply)ing)" + _NOT_A_TOPIC,
    ),
    (Mode.ON, r"(?:think|reason)(?: first" + _ENGLISH_END + r"|,? (?:and )?then (?:answer|respond|reply))"),
    (Mode.ON, r"take your time (?:to|and) (?:think|reason)"),
    (Mode.ON, r"give (?:it|this|this one) (?:some |a lot of )?(?:careful |deep |serious )?thought" + _ENGLISH_END),
    (Mode.ON, r"(?:it|this|this one) (?:deserves|needs|calls for) (?:some )?(?:careful|deep|serious) thought\b"),
    (Mode.ON, r"deep (?:thinking|reasoning)(?:,? please| (?:is )?(?:needed|required))"),
    (Mode.ON, rf"(?:only )?(?:answer|respond|reply)(?: only)? (?:once|after|when) {_HAVE_THOUGHT}"),
    (Mode.ON, r"(?:turn|switch) on (?:your |the )?(?:thinking|reasoning)\b"),
    (Mode.ON, r"(?:thinking|reasoning)(?: mode)?\s*[:=]\s*on" + _ENGLISH_END),
    (Mode.OFF, r"(?:thinking|reasoning)(?: mode)?\s*[:=]\s*off" + _ENGLISH_END),
    (Mode.OFF, r"(?:turn|switch) off (?:your |the )?(?:thinking|reasoning)\b"),
    (Mode.OFF, r"(?:answer|respond|reply)\b[^.!?\n]{0,20}?\b(?:non|no)-think(?:ing)? mode"),
    (Mode.OFF, rf"(?:answer|respond|reply)(?: (?:to )?(?:me|this|it|the user))? {_AT_ONCE}"),
    (Mode.OFF, rf"give (?:me )?(?:the|your) answer {_AT_ONCE}" + _ENGLISH_END),
    (Mode.OFF, r"go straight to the answer" + _ENGLISH_END),
    (
        Mode.OFF,
        r"(?:answer|respond|reply|solve|give (?:me )?(?:the|your) answer)\b"
        r"[^.!?\n]{0,40}?\bwithout (?:any )?(?:thinking|reasoning|thought)",
    ),
    (Mode.OFF, rf"(?:skip|leave out) (?:the |any |all |your )?{_THOUGHT}" + _ENGLISH_END),
    (Mode.OFF, r"(?:spare (?:me|yourself) the|save your) (?:thinking|reasoning)(?: for\b|" + _ENGLISH_END + ")"),
    (Mode.OFF, r"stop (?:over)?thinking" + _ENGLISH_END),
    (
        Mode.OFF,
        rf"no (?:deep |long )?{_THOUGHT}(?: is)?(?: (?:needed|required|necessary))?" + _ENGLISH_END,
    ),
    (Mode.OFF, rf"(?:a|your) (?:gut|snap) (?:answer|feeling|reaction) {_ENOUGH}"),
    (Mode.OFF, rf"your first (?:instinct|guess|thought) {_ENOUGH}"),
    (Mode.OFF, rf"(?:answer )?off the top of your head(?: {_ENOUGH}|" + _ENGLISH_END + ")"),
    (Mode.OFF, r"(?:tell me|answer with|give me) the first thing that comes to (?:your )?mind" + _ENGLISH_END),
)
# "think" alone is a command only when it is forbidden: "do not think", never "what do you think".
_ENGLISH_BARE = (
    _ENGLISH_NEVER + r" (?:(?:think|reason)(?:\s+(?:too (?:much|long|hard)|long|at all|(?:about|for) (?:it|this)"
    r"(?: one)?))?|overthink(?: (?:it|this|things))?|rack your brains?(?: (?:over|about) (?:it|this))?)" + _ENGLISH_END
)
_ENGLISH_NOT_YET = _ENGLISH_NEVER + rf" (?:answer|respond|reply) (?:before|until) {_HAVE_THOUGHT}"

_CHINESE_LEAD = (
    r"(?:^|(?<=[\s，。！？；：、,.!?;:（(])|(?:请|麻烦|劳驾|拜托)[你您]?|务必|一定要|千万|给我|希望[你您]能?"
    r"|[你您]?(?:需要|应该|必须|可以)|然后|并且?|[先再要你您])"
)
_CHINESE_NEVER = r"(?:不要|不需要|不用|不必|无需|无须|请勿|切勿|不许|不准|禁止|别|勿)"
_CHINESE_NOT = rf"(?P<not>{_CHINESE_NEVER})?(?:进行|做|任何|再)*"
_CHINESE_THINK = r"(?:思考|推理)"
_CHINESE_NO_TOPIC = r"(?![的是有会能和与])"
_CHINESE_END = r"(?=[\s，。！？；,.!?;]|$)"
_CHINESE = (
    (
        Mode.ON,
        r"(?:仔细|认真|深入|深度|逐步|慢慢|好好|一步一步|一步步|充分|多加?)地?(?:进行)?"
        rf"(?:{_CHINESE_THINK}|想一想|想想|想清楚)(?!模[型式]|能力|[了过着的])",
    ),
    (
        Mode.ON,
        rf"(?:想清楚|想一想|{_CHINESE_THINK}(?:一下|清楚)?)(?:之?后)?[，,]?(?:然后)?[再才](?:回答|作答|答|给出)",
    ),
    (Mode.ON, rf"(?:开启|打开|启用|使用)(?:深度)?{_CHINESE_THINK}模式{_CHINESE_NO_TOPIC}"),
    (Mode.ON, rf"{_CHINESE_THINK}(?:模式)?[:：]开{_CHINESE_END}"),
    (Mode.OFF, rf"{_CHINESE_THINK}(?:模式)?[:：]关{_CHINESE_END}"),
    (Mode.OFF, rf"(?:关闭|关掉)(?:深度)?{_CHINESE_THINK}模式{_CHINESE_NO_TOPIC}"),
    (Mode.OFF, rf"用非{_CHINESE_THINK}模式{_CHINESE_NO_TOPIC}"),
    (Mode.OFF, rf"(?:跳过|省去|省略){_CHINESE_THINK}{_CHINESE_NO_TOPIC}"),
    (Mode.OFF, rf"凭(?:直觉|第一反应)(?:回答|作答){_CHINESE_NO_TOPIC}"),
    (
        Mode.OFF,
        r"(?:直接|立即|立刻|马上)(?:回答|作答|回复|答(?![案对错题复应])"
        r"|(?:给[出我]?|说出?|告诉我)(?:最终|最后的?)?(?:答案|结果))",
    ),
)
_CHINESE_BARE = (
    rf"{_CHINESE_NEVER}(?:(?:进行|做|任何|再|过多|太多)*{_CHINESE_THINK}(?![了着的]|过(?!程))"
    rf"|多?想(?:太多|了)?{_CHINESE_END})"
)


def directive(text: str) -> Mode | None:
    """Return the mode that the user asks for in so many words, none where there is no such wish.

    The last directive wins; a negated one asks for the other mode; quoted text and code are mention, not use.
    """
    found = max(_directives(_QUOTED.sub(" ¶ ", text)), default=None, key=lambda hit: hit[:2])
    return found[2] if found else None


def _directives(text: str) -> Iterator[tuple[int, int, Mode]]:
    """Yield the end, the length and the mode of every directive; of two that end together the longer one counts."""
    for mode, pattern in _rules():
        for match in pattern.finditer(text):
            negated = "not" in pattern.groupindex and match["not"]
            yield match.end(), match.end() - match.start(), _OTHER[mode] if negated else mode


_OTHER = {Mode.ON: Mode.OFF, Mode.OFF: Mode.ON}


def _rule(mode: Mode, pattern: str) -> tuple[Mode, re.Pattern[str]]:
    return mode, re.compile(pattern, re.IGNORECASE | re.MULTILINE)


def _any(mode: Mode, patterns: Sequence[tuple[Mode, str]]) -> str:
    """Join the patterns of one mode: to look for a lead once is what a text costs."""
    return "|".join(pattern for its, pattern in patterns if its is mode)


@cache
def _rules() -> tuple[tuple[Mode, re.Pattern[str]], ...]:
    """Compile the rules with the first text: to import this module costs nothing."""
    return (
        *(_rule(mode, pattern) for mode, pattern in _SWITCHES),
        *(_rule(mode, f"(?:{_ENGLISH_LEAD}){_ENGLISH_NOT}(?:{_any(mode, _ENGLISH)})") for mode in Mode),
        _rule(Mode.OFF, f"(?:{_ENGLISH_LEAD})(?:{_ENGLISH_BARE})"),
        _rule(Mode.ON, f"(?:{_ENGLISH_LEAD})(?:{_ENGLISH_NOT_YET})"),
        *(_rule(mode, f"{_CHINESE_LEAD}{_CHINESE_NOT}(?:{_any(mode, _CHINESE)})") for mode in Mode),
        _rule(Mode.OFF, f"{_CHINESE_LEAD}(?:{_CHINESE_BARE})"),
    )
