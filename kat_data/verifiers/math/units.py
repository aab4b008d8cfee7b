"""Units of measure beside a value: an absent unit is forgiven, two different ones are not."""

import re

_WRAPPED = re.compile(
    r"^(?P<value>.*?[\w)}\]%])(?:\\[,;:! ]|~|\s)*\\(?:text|mathrm|textbf|textrm|textit|mbox|rm)\s*"
    r"\{\s*(?P<unit>[^{}\\]*[A-Za-z\u4e00-\u9fff%°][^{}\\]*)\}(?P<power>\^\{?\d\}?)?$",
    re.DOTALL,
)
_DEGREES = re.compile(r"^(?P<value>.*[\d)}])\s*\^\s*\{?\s*\\circ\s*\}?\s*(?P<scale>[CF])?$", re.DOTALL)
_BARE = re.compile(
    r"^(?P<value>[-+]?[\d.,/: ]*\d|[-+]?(?:\d+\s*)?\\frac\{\d+\}\{\d+\})(?P<gap>\s*)"
    r"(?P<unit>[A-Za-z][A-Za-z./ ]*[A-Za-z]\.?|[\u4e00-\u9fff]{1,6})(?P<power>\^\{?\d\}?)?$"
)
QUALIFIED = re.compile(
    r"\d[\s}$]*(?:\\text\{\s*)?(?:(?:(?:or|and)\s+)?(?:more|less|fewer|greater|higher|lower|approx(?:imately)?|squared|cubed"
    r"|factorial|halves|thirds|fourths|fifths|sixths|sevenths|eighths|ninths|tenths|hundredths|thousandths|plus|minus)\b"
    r"|[个只条本人名次种件元岁天年米]?或?(?:以上|以下|以内|左右)|多(?!边)|余|成|折|次方|的?平方(?![厘分毫千]?米)|的?立方(?![厘分毫千]?米)|的[^\d]{0,8}倍|分之)",
    re.IGNORECASE,
)
_SCALES = {
    "dozen": "12", "hundred": "10^{2}", "thousand": "10^{3}", "million": "10^{6}", "billion": "10^{9}",
    "trillion": "10^{12}", "百": "10^{2}", "千": "10^{3}", "万": "10^{4}", "亿": "10^{8}",
}  # fmt: skip
_SCALED = re.compile(
    r"(?P<value>\d)\s*(?:\\(?:text|mathrm)\s*\{\s*)?(?P<scale>dozen|hundred|thousand|million|billion|trillion|百(?!分)|千(?![米克瓦卡])|万|亿)"
    r"(?![A-Za-z])\s*(?P<rest>[^{}]*\}|)",
    re.IGNORECASE,
)
_LETTER = re.compile(r"^(?P<value>-?[\d.,/]*\d|-?\\frac\{\d+\}\{\d+\})\s*(?P<sign>[A-Za-z]|\\Omega|Ω)$")
_SIGNS = {
    "m": "m", "g": "g", "s": "s", "h": "h", "l": "l", "L": "l", "J": "j", "N": "n", "W": "w", "V": "v", "A": "ampere",
    "K": "kelvin", "\\Omega": "ohm", "Ω": "ohm",
}  # fmt: skip
_FUNCTION = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)\b")
_MEGA = re.compile(r"\bM(?=(?:W|J|V|A|N|Hz|Pa|eV|m|g|L|B)\b)")
_CURRENCY = re.compile(r"^(?P<sign>-?)\s*(?:US\s*)?(?P<mark>\\?\$|€|£|¥|Rs\.?|RMB)\s*(?P<value>[-\d.].*)$")
_MARKS = {"$": "dollar", "€": "euro", "£": "pound sterling", "¥": "yuan", "Rs": "rupee", "RMB": "yuan"}
_CONNECTIVES = {"and", "or", "if", "mod", "for", "to", "in", "not", "when"}
_COUNTERS = frozenset("个只条本支名人次种件张辆块颗棵")
_SAME = {
    name: group.split()[0]
    for group in (
        "m meter metre 米", "cm centimeter centimetre 厘米", "mm millimeter millimetre 毫米",
        "km kilometer kilometre 千米 公里", "in inch inche", "ft foot feet", "yd yard", "mi mile",
        "g gram gm 克", "kg kilogram 千克 公斤", "lb lbs", "oz ounce",
        "l liter litre 升", "mi/h mph", "ms millisecond", "ml milliliter millilitre 毫升",
        "s sec second 秒", "min minute 分钟", "h hr hour 小时", "day 天",
        "yr year 年", "dollar usd buck 美元", "cent ¢ 美分", "yuan rmb 元", "percent % pct percentage", "degree deg 度",
        "j joule", "n newton", "w watt", "v volt", "ampere amp", "ohm ω",
        "km/h kmh kph kmph", "m/s mps", "unit units 单位",
        "pound pounds", "people person", "mol mole", "am", "pm",
    )
    for name in group.split()
}  # fmt: skip
_ABBREVIATIONS = frozenset(name for name in _SAME if 2 <= len(name) <= 4)


def split_unit(text: str) -> tuple[str, str]:
    """Split an expression into its value and its unit, folded; the unit is empty where there is none.

    What changes the value (`3 squared`, `3 or more`) is no unit.
    A single bare letter is a variable (`5m`, `x+3t`); it is a unit only in upright type (`5\\text{ m}`).
    """
    if QUALIFIED.search(text):
        return text, ""
    text = _SCALED.sub(_spelled_out, text)
    if match := _CURRENCY.match(text):
        value = _BARE.match(match["value"].strip())
        amount = value["value"] if value and _is_unit(value["unit"], value["gap"]) else match["value"]
        return match["sign"] + amount.strip(), _MARKS[match["mark"].strip("\\.")]
    if (match := _DEGREES.match(text)) and not _FUNCTION.search(text):
        return match["value"], "degree" + (match["scale"] or "").lower()
    if (match := _WRAPPED.match(text)) and match["unit"].strip().lower() not in _CONNECTIVES:
        return match["value"].rstrip(" \\,"), fold_unit(match["unit"], match["power"])
    if (match := _BARE.match(text)) and _is_unit(match["unit"], match["gap"]):
        return match["value"].strip(), fold_unit(match["unit"], match["power"])
    return text, ""


def split_letter(value: str, unit: str) -> str | None:
    """Return `12` for `12 m` beside a unit of metres: what stands for a variable elsewhere is the same unit there."""
    match = _LETTER.match(value)
    return match["value"] if match and _SIGNS.get(match["sign"]) == unit else None


def is_known_unit(word: str) -> bool:
    """Whether a word of two letters and more is the name or the sign of a common unit."""
    return len(word) > 1 and word.lower() not in _CONNECTIVES and _fold_word(word.lower()) in _SAME


def _spelled_out(match: re.Match[str]) -> str:
    r"""`3 million people` as `3 \times 10^{6} people`."""
    rest = match["rest"].rstrip("}").strip()
    unit = rf" \text{{{rest}}}" if match["rest"].endswith("}") and rest else f" {rest}" if rest else ""
    return rf"{match['value']} \times {_SCALES[match['scale'].lower()]}{unit}"


def same_unit(one: str, other: str) -> bool:
    """Whether two folded units may stand beside the same value: equal, one absent, or one a longer name."""
    if not one or not other or one == other:
        return True
    if {one, other} == {"lb", "pound"}:
        return True
    words, others = set(one.split()), set(other.split())
    return words < others or others < words


def fold_unit(unit: str, power: str | None = None) -> str:
    """Return the unit in one spelling: lower case, singular, synonyms as one, with its power."""
    text = _MEGA.sub("mega", unit.strip()).lower()
    text = re.sub(r"\b([a-z])\.\s?([a-z])\b\.?", r"\1\2", re.sub(r"\s*(?:\bper\b|/)\s*", "/", text))
    words = re.sub(r"[^\w/%^\u4e00-\u9fff]+", " ", text).split()
    words = [word for word in words if len(words) == 1 or word not in {"of", "the", "a", "an"}]
    folded = _with_powers([_fold_word(word) for word in words])
    folded = "" if folded in _COUNTERS else folded
    return folded + (re.sub(r"[{}]", "", power) if power else "")


def _with_powers(words: list[str]) -> str:
    """Join folded words; `square metre` and `metre squared` have the power that `m^2` has."""
    powers = {"square": "^2", "sq": "^2", "squared": "^2", "cubic": "^3", "cu": "^3", "cubed": "^3"}
    for index, word in enumerate(words):
        if word in powers and len(words) > 1:
            rest = words[:index] + words[index + 1 :]
            place = min(index, len(rest) - 1) if not word.endswith("ed") else index - 1
            return " ".join([*rest[:place], rest[place] + powers[word], *rest[place + 1 :]])
    return " ".join(words)


def _fold_word(word: str) -> str:
    if "/" in word.strip("/") and word not in _SAME:
        joined = "/".join(_fold_word(part) for part in word.split("/"))
        return _SAME.get(joined, joined)
    if word in _SAME:
        return _SAME[word]
    singular = re.sub(r"(?<=[^s])s$", "", word) if len(word) > 2 else word
    return _SAME.get(singular, singular)


def _is_unit(unit: str, gap: str) -> bool:
    first = unit.split()[0].rstrip(".").lower()
    if first in _CONNECTIVES or first in {"sin", "cos", "tan", "log", "ln", "pi", "sqrt", "th"}:
        return False
    if re.match(r"[\u4e00-\u9fff]", unit) or first in _ABBREVIATIONS:
        return True
    return bool(gap) and len(first) >= 3
