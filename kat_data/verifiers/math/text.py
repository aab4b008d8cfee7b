"""How mathematical text is normalised before anything looks at it: Unicode signs become plain or LaTeX ones."""

import re
import unicodedata

_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_SUPERSCRIPT = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_SUBSCRIPT = re.compile("[₀₁₂₃₄₅₆₇₈₉]+")
_LETTERLIKE = re.compile("[ºℝℤ]")  # NFKC would make plain letters of them
_CUBE_ROOT = re.compile(r"∛\s*(?:\(([^()]*)\)|\{([^{}]*)\}|([0-9.]+|[A-Za-z]))")
_VULGAR = re.compile("[¼-¾⅐-⅞]")
_ROOT = re.compile(r"√\s*(?:\(([^()]*)\)|\{([^{}]*)\}|([0-9.]+|[A-Za-z]))")
_STRUCK = re.compile(r"~~([^~\n]+)~~|<(s|del|strike)>(.*?)</\2>", re.IGNORECASE)
_UNEQUAL = re.compile(r"=/=|(?<![\w)}\]])/=|(?<=\s)/=|=\\=|\\not\s*=")
_NEARLY = re.compile(r"(?<!~)~=|=~|(?<=[A-Za-z])\s*~(?=\s*-?\d)")
_STARS = re.compile(r"(?<=[\dA-Za-z)}\]])\s?\*\*\s?(?=[\d({-])")
_SIGNS = {
    "‐": "-",
    "‑": "-",
    "✕": r"\times ",
    "✖": r"\times ",
    "º": r"^{\circ}",
    "˚": r"^{\circ}",
    "ℝ": r"\mathbb{R} ",
    "ℤ": r"\mathbb{Z} ",
    "−": "-",
    "–": "-",
    "—": "-",
    "⁄": "/",
    "×": r"\times ",
    "·": r"\cdot ",
    "⋅": r"\cdot ",
    "÷": "/",
    "∞": r"\infty ",
    "π": r"\pi ",
    "≤": r"\le ",
    "≥": r"\ge ",
    "≠": r"\ne ",
    "≈": r"\approx ",
    "≃": r"\simeq ",
    "≅": r"\cong ",
    "≐": r"\doteq ",
    "≒": r"\approx ",
    "≑": r"\approx ",
    "∼": r"\sim ",
    "≢": r"\ne ",
    "≭": r"\ne ",
    "⩽": r"\le ",
    "⩾": r"\ge ",
    "≦": r"\le ",
    "≧": r"\ge ",
    "±": r"\pm ",
    "∪": r"\cup ",
    "∩": r"\cap ",
    "∈": r"\in ",
    "∅": r"\emptyset ",
    "°": r"^{\circ}",
    "，": ",",
    "、": ",",
    "’": "'",
}
_TABLE = str.maketrans(_SIGNS)


def normalise(text: str) -> str:
    """Return `text` in NFKC with invisible characters gone and mathematical signs as ASCII or LaTeX.

    Superscripts and fractions are spelled out before NFKC would melt them into digits (`x²` is not `x2`, `3½` is not
    `31/2`).
    """
    text = _SUPERSCRIPT.sub(lambda m: f"^{{{_plain(m.group())}}}", text)
    text = _SUBSCRIPT.sub(lambda m: f"_{{{_plain(m.group())}}}", text)
    text = _VULGAR.sub(_fraction, text)
    text = _LETTERLIKE.sub(lambda m: _SIGNS[m.group()], text)
    text = unicodedata.normalize("NFKC", text)
    text = _CONTROL.sub("", _INVISIBLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))
    text = _CUBE_ROOT.sub(lambda m: rf"\sqrt[3]{{{m.group(1) or m.group(2) or m.group(3) or ''}}}", text)
    text = _ROOT.sub(lambda m: rf"\sqrt{{{m.group(1) or m.group(2) or m.group(3) or ''}}}", text)
    text = _STRUCK.sub(lambda m: rf"\sout{{{m.group(1) or m.group(3) or ''}}}", text.translate(_TABLE))
    return _NEARLY.sub(r"\\approx ", _UNEQUAL.sub(r"\\ne ", text)).strip()


def power_signs(text: str) -> str:
    """Return `text` with Python's `**` before an operand as `^`; only for an expression, never for Markdown."""
    return _STARS.sub("^", text)


def _plain(signs: str) -> str:
    return unicodedata.normalize("NFKC", signs).replace("−", "-")


def _fraction(match: re.Match[str]) -> str:
    numerator, denominator = unicodedata.normalize("NFKC", match.group()).split("⁄")
    return rf"\frac{{{numerator}}}{{{denominator}}}"
