"""Plain numbers, exactly and without SymPy: integers, decimals, fractions, mixed numbers, powers of ten."""

import re
from fractions import Fraction

_DIGITS = 4000
_EXPONENT = 400
_DECIMAL = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?: \d{3})+(?:\.\d+)?|\d+\.?\d*|\.\d+)"
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
    if len(text) > 2 * _DIGITS:
        text = _short(text)
    while text.startswith("{") and text.endswith("}") and text.count("{") == 1:
        text = text[1:-1].strip()
    if len(text) > _DIGITS:
        return None
    try:
        return _read(text)
    except ZeroDivisionError:
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
    return None


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
