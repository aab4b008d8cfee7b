"""Plain numbers, exactly and without SymPy: integers, decimals, fractions, mixed numbers, powers of ten."""

import re
from fractions import Fraction

_DIGITS = 4000
_EXPONENT = 400
_DECIMAL = r"(?:[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?: \d{3})+(?:\.\d+)?|\d+\.?\d*|\.\d+)"
_PLAIN = re.compile(rf"[-+]?\s*{_DECIMAL}")
_RATIO = re.compile(rf"(?P<top>[-+]?\s*{_DECIMAL})\s*/\s*(?P<bottom>[-+]?\s*{_DECIMAL})")
_FRAC = re.compile(
    r"(?P<sign>[-+]?)\s*(?:(?P<whole>\d+)\s*)?\\frac\s*"
    rf"(?:\{{\s*(?P<top>[-+]?\s*{_DECIMAL})\s*\}}\s*\{{\s*(?P<bottom>[-+]?\s*{_DECIMAL})\s*\}}|(?P<t>\d)\s*(?P<b>\d))"
)
_MIXED = re.compile(r"(?P<sign>[-+]?)\s*(?P<whole>\d+)\s+(?P<top>\d+)\s*/\s*(?P<bottom>\d+)")
_SCIENTIFIC = re.compile(
    rf"(?P<base>[-+]?\s*{_DECIMAL})\s*(?:(?:\\times|\\cdot|\*)\s*10\s*\^\s*(?:\{{\s*(?P<e>[-+]?\d+)\s*\}}|(?P<f>[-+]?\d+))|[eE](?P<g>[-+]?\d+))"
)
_REPEATING = re.compile(r"(?P<head>[-+]?\d*\.(?P<fixed>\d*))\\(?:overline|bar)\s*\{?\s*(?P<period>\d{1,40})\s*\}?")
_RECURRING = re.compile(r"(?P<head>[-+]?\d*\.(?P<fixed>\d{0,20}?))(?P<period>\d{1,6}?)(?P=period){2,}\s*\\ldots")
_BASED = re.compile(r"\(?(?P<digits>\d+)\)?\s*_\s*(?:\{\s*\(?(?P<base>\d{1,2})\)?\s*\}|(?P<short>\d))")
_SIGN_POWER = re.compile(
    r"(?P<sign>-?)\s*(?P<base>\(\s*-\s*1\s*\)|[01])\s*\^\s*\{?\s*(?P<low>\d+)(?:\s*\^\s*\{?\s*(?P<high>\d+)\s*\}?)?"
    r"(?:\s*[-+]\s*(?P<more>\d+))?\s*\}?"
)
_PERCENT = re.compile(
    r"\s*(?:\\?%|percent(?:age)?|pct|\\(?:text|mathrm)\{\s*(?:percent|%|\\%)\s*\})\s*$", re.IGNORECASE
)


def split_percent(text: str) -> tuple[str, bool]:
    """Split off a percent sign or word at the end."""
    value = _PERCENT.sub("", text)
    return value, value != text


def exact(text: str) -> Fraction | None:
    """Return the value of a plain number, or none where `text` is anything else or too long to be one."""
    text = text.strip().strip("$").strip()
    if len(text) > _DIGITS:
        text = _short(text)
    while text.startswith("{") and text.endswith("}") and text.count("{") == 1:
        text = text[1:-1].strip()
    if len(text) > _DIGITS:
        return None
    try:
        return _read(text)
    except (ZeroDivisionError, ValueError):
        return None


def _read(text: str) -> Fraction | None:
    if _PLAIN.fullmatch(text):
        return _decimal(text)
    if match := _FRAC.fullmatch(text):
        top = _decimal(match["top"] or match["t"])
        return _mixed(match["sign"], match["whole"], top / _decimal(match["bottom"] or match["b"]))
    if match := _MIXED.fullmatch(text):
        return _mixed(match["sign"], match["whole"], Fraction(int(match["top"]), int(match["bottom"])))
    if match := _RATIO.fullmatch(text):
        return _decimal(match["top"]) / _decimal(match["bottom"])
    if match := _SCIENTIFIC.fullmatch(text):
        exponent = match["e"] or match["f"] or match["g"]
        if len(exponent) <= 5 and abs(int(exponent)) <= _EXPONENT:
            return _decimal(match["base"]) * Fraction(10) ** int(exponent)
    if match := _REPEATING.fullmatch(text) or (_RECURRING.fullmatch(text) if len(text) < 100 else None):
        period = Fraction(int(match["period"]), (10 ** len(match["period"]) - 1) * 10 ** len(match["fixed"]))
        head = Fraction(match["head"] + "0") if match["head"].strip("+-.") else Fraction(0)
        return head - period if text.startswith("-") else head + period
    if match := _BASED.fullmatch(text):
        return Fraction(int(match["digits"], int(match["base"] or match["short"])))
    if match := _SIGN_POWER.fullmatch(text):
        return _sign_power(match)
    return None


def _sign_power(match: re.Match[str]) -> Fraction | None:
    """A power of 0, 1 or -1, however large the exponent is: only its parity counts."""
    low, high, more = int(match["low"]), match["high"], int(match["more"] or 0)
    if match["base"] == "0" and (low == 0 or more):
        return None
    odd = (low % 2 if high is None or int(high) else 1) ^ more % 2
    value = {"0": 0, "1": 1}.get(match["base"], -1 if odd else 1)
    return Fraction(-value if match["sign"] else value)


def _mixed(sign: str, whole: str | None, part: Fraction) -> Fraction:
    value = int(whole or 0) + part
    return -value if sign == "-" else value


def _decimal(text: str) -> Fraction:
    return Fraction(re.sub(r"[,\s]", "", text).rstrip(".") if text.strip()[-1] == "." else re.sub(r"[,\s]", "", text))


def _short(text: str) -> str:
    """Drop the zeros that do not count from a very long plain decimal."""
    if not re.fullmatch(r"\d+(?:\.\d*)?", text):
        return text
    whole, _, part = text.partition(".")
    return (whole.lstrip("0") or "0") + ("." + part.rstrip("0") if part.rstrip("0") else "")
