import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kat_data.domain.mode import Mode
from tests.unit.trainers.toy import foreign_tokenizer, template_text, tokenizer
from trainers.segments import NONE, OFF, ON, Tags, segment, tags_of

TAGS = Tags(on=((7,),), off=((8,),))


def batch(*rows: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, rows))
    ids = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask


def test_the_judge_ends_with_the_mode_token_and_the_rest_follows() -> None:
    found = segment(*batch([1, 2, 7, 3, 4], [8, 3]), TAGS)

    assert found.modes.tolist() == [ON, OFF]
    assert found.judge.int().tolist() == [[1, 1, 1, 0, 0], [1, 0, 0, 0, 0]]
    assert found.rest.int().tolist() == [[0, 0, 0, 1, 1], [0, 1, 0, 0, 0]]
    assert found.tag.int().tolist() == [[0, 0, 1, 0, 0], [1, 0, 0, 0, 0]]


def test_without_a_mode_token_all_is_judge() -> None:
    found = segment(*batch([1, 2, 3], [1]), TAGS)

    assert found.modes.tolist() == [NONE, NONE]
    assert found.judge.int().tolist() == [[1, 1, 1], [1, 0, 0]]
    assert not found.rest.any()
    assert not found.tag.any()


def test_the_first_tag_decides_and_one_in_the_padding_never_does() -> None:
    ids, mask = batch([8, 7, 1], [1, 7, 8])
    mask[1, 1:] = 0

    found = segment(ids, mask, TAGS)

    assert found.modes.tolist() == [OFF, NONE]


def test_tags_of_several_tokens_are_found_by_their_last() -> None:
    tags = Tags(on=((5, 6, 9), (5, 6, 7)), off=((5, 6, 8),))
    found = segment(*batch([1, 5, 6, 7, 2], [5, 6, 8], [5, 6]), tags)

    assert found.modes.tolist() == [ON, OFF, NONE]
    assert found.judge.int().tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 0, 0], [1, 1, 0, 0, 0]]
    assert found.tag.int().sum(dim=1).tolist() == [3, 3, 0]


@given(rows=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=9), min_size=1, max_size=6))
def test_segments_are_those_that_a_loop_finds(rows: list[list[int]]) -> None:
    found = segment(*batch(*rows), TAGS)

    for number, row in enumerate(rows):
        end = next((place + 1 for place, token in enumerate(row) if token in (7, 8)), None)
        mode = NONE if end is None else {7: ON, 8: OFF}[row[end - 1]]
        judge = len(row) if end is None else end
        assert found.modes[number] == mode
        assert found.judge[number].nonzero().flatten().tolist() == list(range(judge))
        assert found.rest[number].nonzero().flatten().tolist() == list(range(judge, len(row)))


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize("make", [tokenizer, foreign_tokenizer])
def test_a_tokenizers_own_tags_are_found_where_the_template_has_them(mode: Mode, make) -> None:
    known = make()
    text = template_text(mode)
    ids = known(text, add_special_tokens=False)["input_ids"]

    found = segment(*batch(ids), tags_of(known))

    assert found.modes.tolist() == [{Mode.ON: ON, Mode.OFF: OFF}[mode]]
    judged = known.decode([token for token, judge in zip(ids, found.judge[0], strict=True) if judge])
    assert judged.rstrip().endswith(f"<{mode}>")


def test_added_tags_are_one_token_and_foreign_ones_are_several() -> None:
    assert [len(pattern) for pattern in tags_of(tokenizer()).on] == [1]
    assert all(len(pattern) > 1 for pattern in tags_of(foreign_tokenizer()).on)
