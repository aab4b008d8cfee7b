r"""One spelling for notations that write the same thing: arrays, vectors, set builders, infinity in words."""

import re

_UPRIGHT = re.compile(r"\\(?:text|mathrm|textbf)\s*\{([^{}]*)\}")
_INFINITY = re.compile(r"(?:(?P<minus>-|negative|minus)|\+|positive|plus)?\s*(?:infinity|inf)", re.IGNORECASE)
_NO_SOLUTION = re.compile(r"(?:there (?:is|are) )?no (?:real )?solutions?|(?:the )?empty set", re.IGNORECASE)
_ARRAY = re.compile(r"[(\[]\s*\\begin\s*\{array\}\s*\{[lcr| ]*\}(?P<rows>.*?)\\end\s*\{array\}\s*[)\]]", re.DOTALL)
_MATRIX = re.compile(r"\\(begin|end)\s*\{(?:b|small)?matrix\}")
_VECTOR = re.compile(r"\\begin\{pmatrix\}(?P<rows>.*)\\end\{pmatrix\}", re.DOTALL)
_NESTED = re.compile(r"\[\s*(?:\[[^\[\]]*\]\s*,\s*)*\[[^\[\]]*\]\s*\]")
_ROW = re.compile(r"\[([^\[\]]*)\]")
_BUILDER = re.compile(
    r"\\\{\s*(?P<name>[A-Za-z])\s*(?:\\in\s*\\mathbb\s*\{?\s*R\s*\}?\s*)?(?:\\mid(?![A-Za-z])|\\colon(?![A-Za-z])|[:|])"
    r"(?P<condition>[^|:={}]*(?:[<>]|\\[lg](?:e|t|eq|eqslant)(?![a-z]))[^|:={}]*)\\\}"
)
_REALS_BUT = re.compile(r"\\mathbb\s*\{?\s*R\s*\}?\s*(?:\\setminus|\\backslash|-)\s*\\\{(?P<points>[^{}]*)\\\}")
_UNEQUAL = re.compile(r"[a-z]\s*(?:\\neq?(?![A-Za-z])|!=)(?P<points>[^=<>,]+)")


def one_spelling(text: str) -> str:
    """Return a cleaned expression with arrays as `pmatrix`, a set builder as its condition, and infinity as a sign."""
    if match := _INFINITY.fullmatch(_UPRIGHT.sub(r"\1", text).strip()):
        return r"-\infty" if match["minus"] else r"\infty"
    if match := _BUILDER.fullmatch(text):
        return match["condition"].strip()
    text = _MATRIX.sub(r"\\\1{pmatrix}", _ARRAY.sub(lambda m: _matrix(m["rows"]), text))
    return _from_lists(text) if _NESTED.fullmatch(text) else text


def says_no_solution(text: str) -> bool:
    """Whether a phrase says that there is no solution."""
    return bool(_NO_SOLUTION.fullmatch(_UPRIGHT.sub(r"\1", text).strip(" .")))


def coordinates(text: str) -> tuple[str, ...] | None:
    """The coordinates of a vector written as a matrix of one row or one column; none for any other text."""
    match = _VECTOR.fullmatch(text)
    if match is None or "\\begin" in match["rows"]:
        return None
    rows = [[cell.strip() for cell in row.split("&")] for row in match["rows"].split(r"\\") if row.strip()]
    if len(rows) == 1:
        return tuple(rows[0])
    return tuple(row[0] for row in rows) if all(len(row) == 1 for row in rows) else None


def excluded_points(text: str) -> str | None:
    r"""The points that `x \ne 2` or `\mathbb{R} \setminus \{2\}` leaves out of the real line; none for other texts."""
    match = _REALS_BUT.fullmatch(text.strip()) or _UNEQUAL.fullmatch(text.strip())
    return match["points"].strip() if match else None


def _from_lists(text: str) -> str:
    """`[[1,2],[3,4]]` as a matrix, where it has several rows of one length with plain cells."""
    rows = [row.split(",") for row in _ROW.findall(text[1:-1])]
    if (
        len(rows) < 2
        or len({len(row) for row in rows}) != 1
        or any(re.search(r"[(){}]", cell) for row in rows for cell in row)
    ):
        return text
    return _matrix(r" \\ ".join(" & ".join(row) for row in rows))


def _matrix(rows: str) -> str:
    return rf"\begin{{pmatrix}}{rows}\end{{pmatrix}}"
