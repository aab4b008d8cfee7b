"""Groups of replies that choose the same option, for soft labels."""

from collections.abc import Sequence

from kat_data.domain.equivalence import Equivalence
from kat_data.domain.verdict import Status
from kat_data.verifiers.choice.option import Options
from kat_data.verifiers.choice.verifier import chosen_letters


def group_choices(answers: Sequence[str], choices: Sequence[str]) -> Equivalence:
    """Group replies by the one option that each settles on; several, none or a foreign one state no value."""
    classes: dict[str, list[int]] = {}
    excluded: list[tuple[int, Status]] = []
    known = Options(choices).letters
    for position, reply in enumerate(answers):
        chosen = chosen_letters(reply, choices)
        if len(chosen) == 1 and chosen <= set(known):
            classes.setdefault(next(iter(chosen)), []).append(position)
        else:
            excluded.append((position, Status.UNPARSABLE))
    ordered = sorted(classes.items(), key=lambda each: (-len(each[1]), each[1]))
    return Equivalence(
        classes=tuple(tuple(positions) for _, positions in ordered),
        answers=tuple(letter for letter, _ in ordered),
        excluded=tuple(excluded),
    )
