"""Queries of which it is known whether a benchmark item stands in them: what decontamination is measured on."""

import random
from collections.abc import Callable, Iterator, Mapping

from kat_data.decontam.item import BenchmarkItem
from kat_data.domain.contamination import ItemKind

TAIL = "Express your answer as a common fraction in lowest terms, where m and n are relatively prime positive integers."
ASKS = ("How many are left?", "What does all of it cost together?", "How long does the whole trip take?")


class Author:
    """Writes seeded problems out of invented words, so that no two are alike but for their boilerplate."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 (no secret)
        self._words = [
            "".join(self._random.choices("bdfgklmnprst", k=2)) + end for end in ("a", "e", "olu", "ine") * 99
        ]

    def sentence(self, length: int) -> str:
        words = [self._random.choice((*self._words, str(self._random.randrange(2, 999)))) for _ in range(length)]
        return f"{' '.join(words).capitalize()}, and {self._random.randrange(2, 999)} more."

    def problem(self) -> str:
        story = " ".join(self.sentence(self._random.randrange(8, 16)) for _ in range(3))
        return f"{story} {self._random.choice(ASKS)} {TAIL if self._random.random() < 0.5 else ''}".strip()

    def short(self) -> str:
        a, b, c = (self._random.randrange(10, 999) for _ in range(3))
        return self._random.choice((f"What is ${a}+{b}-{c}$?", f"Compute ${a} \\cdot {b}$ modulo {c}."))

    def program(self) -> str:
        name, one, other = self._random.sample(self._words, 3)
        number = self._random.randrange(2, 999)
        return (
            f"def {name}({one}, {other}):\n"
            f'    """{self.sentence(6)}"""\n'
            f"    # {self.sentence(5)}\n"
            f"    {one}_{name} = {{}}\n"
            f"    for {other} in range({number}):\n"
            f"        if {one}-{other} not in {one}_{name}:\n"
            f"            {one}_{name}[{one}-{other}] = '{self._random.choice(self._words)}'\n"
            f"    return ({one}_{name})\n"
        )


def embedded(text: str, author: Author) -> str:
    """Put the text between sentences of others."""
    return f"{author.sentence(12)}\n\n{text}\n\n{author.sentence(20)}"


def respaced(text: str, author: Author) -> str:
    """Change every space."""
    return text.replace(" ", " \n  ")


def reformatted(text: str, author: Author) -> str:
    """Write numbers in LaTeX and words in capitals."""
    numbers = text.replace("$", "").split(" ")
    dressed = (f"$\\text{{{word}}}$" if word.isdigit() else word.upper() for word in numbers)
    return " ".join(dressed).replace("\\CDOT", "×").replace("\\TEXT", "\\text").replace("+", " + ")


def full_width(text: str, author: Author) -> str:
    """Write digits as East Asian text does."""
    return text.translate({ord(digit): ord(digit) + 0xFEE0 for digit in "0123456789"})


def quoted_in_part(text: str, author: Author) -> str:
    """Quote the first three quarters between other sentences."""
    words = text.removesuffix(TAIL).split()
    return f"{author.sentence(9)} {' '.join(words[: int(0.75 * len(words))])} {author.sentence(15)}"


def half_alone(text: str, author: Author) -> str:
    """Leave the first half alone."""
    words = text.removesuffix(TAIL).split()
    return " ".join(words[: len(words) // 2])


def restyled(text: str, author: Author) -> str:
    """Take comments and layout of a program away, and ask about the rest."""
    lines = [line for line in text.splitlines() if "#" not in line and '"""' not in line]
    code = "\n".join(lines).replace("    ", "\t").replace("-", " - ").replace("'", '"').replace("(", "( ")
    return f"What does this do?\n```python\n# {author.sentence(4)}\n{code}\n```\n{author.sentence(8)}"


def one_number_changed(text: str, author: Author) -> str:
    """Change one number: another task in the same words."""
    words = text.split(" ")
    places = [place for place, word in enumerate(words) if word.isdigit()]
    place = places[len(places) // 2]
    words[place] = str(int(words[place]) + 1000)
    return " ".join(words)


def all_numbers_changed(text: str, author: Author) -> str:
    """Change every digit: another task in the same words."""
    return "".join(str((int(c) + 1) % 10) if c.isdigit() else c for c in text)


def boilerplate_kept(text: str, author: Author) -> str:
    """Keep nothing but stock phrases."""
    return f"{author.sentence(14)} {author.sentence(14)} {ASKS[0]} {TAIL}"


def boilerplate_reworded(text: str, author: Author) -> str:
    """Keep stock phrases in other words."""
    return f"{author.sentence(14)} {ASKS[1]} {TAIL.replace('common fraction', 'ratio').replace('where', 'so that')}"


COPIES = {
    "problem": (embedded, respaced, reformatted, full_width, quoted_in_part, half_alone),
    "short": (embedded, respaced, reformatted, full_width),
    "program": (embedded, respaced, restyled),
}
OTHERS = {
    "problem": (one_number_changed, all_numbers_changed, boilerplate_kept, boilerplate_reworded),
    "short": (all_numbers_changed,),
    "program": (all_numbers_changed,),
}
Change = Callable[[str, Author], str]


def benchmark_items(items: Mapping[str, str]) -> Iterator[BenchmarkItem]:
    """Yield the items of a benchmark; what is called a program is code."""
    for key, text in items.items():
        kind = ItemKind.CODE if "program" in key else ItemKind.PROSE
        yield BenchmarkItem(benchmark="b", key=key, text=text, kind=kind)


def texts(author: Author, each: int) -> Iterator[tuple[str, str]]:
    """Yield name and text of so many problems, short problems and programs."""
    for kind, write in (("problem", author.problem), ("short", author.short), ("program", author.program)):
        for number in range(each):
            yield f"{kind} {number}", write()


def changed(
    items: Mapping[str, str], changes: Mapping[str, tuple[Change, ...]], author: Author
) -> Iterator[tuple[str, str, str]]:
    """Yield item, change and the text of a query, for every change of every item."""
    for key, text in items.items():
        for change in changes[key.split()[0]]:
            yield key, change.__name__, change(text, author)
