import json
from itertools import chain, islice

import pytest
import torch

from kat_data.errors import ConfigError
from tests.unit.trainers.rollouts import rollouts
from trainers.advantages import Constants
from trainers.history import Change, History, Resampling
from trainers.segments import OFF, ON


def history(prompts: int = 10, batch: int = 5, *, seed: int = 1, **rule) -> History:
    return History(prompts, batch, seed=seed, resampling=Resampling(**rule), constants=Constants())


def note(memory: History, prompts: list[int], accuracy: dict[int, float], modes: dict[int, list[int]]) -> Change:
    """Note four rollouts of each prompt: all of one accuracy, with its modes; off and correct where none is given."""
    many = [mode for prompt in prompts for mode in modes.get(prompt, [OFF] * 4)]
    scores = [value for prompt in prompts for value in [accuracy.get(prompt, 1.0)] * 4]
    batch = rollouts(scores, many, group=4, history=memory.counts[prompts])
    return memory.note(torch.tensor(prompts), batch)


def one_pass(memory: History, accuracy: dict[int, float], modes: dict[int, list[int]]) -> list[int]:
    drawn = memory.batches()
    seen: list[int] = []
    for prompts in islice(drawn, 2):
        note(memory, prompts, accuracy, modes)
        seen += prompts
    return seen


def test_a_pass_takes_every_prompt_once_in_an_order_of_the_seed() -> None:
    first, again, other = (list(islice(history(seed=seed).batches(), 2)) for seed in (1, 1, 2))
    assert sorted(chain(*first)) == list(range(10))
    assert first == again != other


def test_what_is_over_from_one_pass_opens_the_next_and_no_batch_holds_a_prompt_twice() -> None:
    drawn = list(islice(history(prompts=7, batch=5, rule="none").batches(), 7))
    assert all(len(set(prompts)) == 5 for prompts in drawn)
    assert sorted(chain(*drawn)) == sorted([*range(7)] * 5)


def test_settled_leaves_out_what_is_all_correct_and_agrees_on_the_right_mode() -> None:
    memory = history(rule="settled", readmit=0.0)
    accuracy = {0: 0.0}
    modes = {1: [ON, ON, OFF, OFF], 2: [ON] * 4}  # 1 has not made up its mind; nobody knows what off would do on 2
    memory.counts[3, ON] = torch.tensor([8.0, 8.0])
    memory.counts[3, OFF] = torch.tensor([0.0, 8.0])
    modes[3] = [ON] * 4  # known to need thinking
    one_pass(memory, accuracy, modes)

    following = list(islice(memory.batches(), 1))

    assert memory.left_out.nonzero().flatten().tolist() == [3, 4, 5, 6, 7, 8, 9]
    assert {0, 1, 2} <= set(following[0])  # and two that were left out fill the batch up
    assert len(set(following[0])) == 5


def test_srpos_own_rule_leaves_out_whatever_is_all_correct() -> None:
    memory = history(rule="correct", readmit=0.0)
    one_pass(memory, {0: 0.0}, {1: [ON, ON, OFF, OFF], 2: [ON] * 4})
    next(memory.batches())
    assert memory.left_out.nonzero().flatten().tolist() == list(range(1, 10))


def test_no_rule_leaves_out_nothing() -> None:
    memory = history(rule="none")
    one_pass(memory, {}, {})
    next(memory.batches())
    assert not memory.left_out.any()


def test_what_was_left_out_comes_back_with_its_probability() -> None:
    memory = History(2000, 1, seed=3, resampling=Resampling(rule="correct", readmit=0.1), constants=Constants())
    memory.left_out[:] = True
    next(memory.batches())
    assert 150 < int((~memory.left_out).sum()) < 250


def test_a_restored_history_goes_on_as_if_nothing_had_happened() -> None:
    whole, cut = history(), history()
    modes = {prompt: [[ON, OFF, OFF, OFF], [ON] * 4, [OFF] * 4][prompt % 3] for prompt in range(10)}

    def run(memory: History, steps: int) -> list[list[int]]:
        seen = []
        ahead = memory.batches()
        waiting = next(ahead)
        for _ in range(steps):
            prompts, waiting = waiting, next(ahead)  # a loader draws one batch ahead
            note(memory, prompts, {4: 0.0}, modes)
            seen.append(prompts)
        return seen

    wanted = run(whole, 7)
    first = run(cut, 3)
    resumed = history(seed=1)
    resumed.restore(json.loads(json.dumps(cut.state())))

    assert first + run(resumed, 4) == wanted
    assert resumed.state() == whole.state()


def test_a_history_of_another_pool_is_refused() -> None:
    with pytest.raises(ConfigError, match="knows 10 prompts, the snapshot 11"):
        history(11).restore(history(10).state())


def test_a_pool_smaller_than_a_batch_is_refused() -> None:
    with pytest.raises(ConfigError, match="3 prompts cannot fill a batch of 5"):
        history(3)


def test_flips_are_counted_where_a_prompt_is_seen_again() -> None:
    memory = history(rule="none")
    drawn = memory.batches()
    first, second = next(drawn), next(drawn)
    assert note(memory, first, {}, {}) == Change(seen_again=0, flipped=0)
    note(memory, second, {}, {})
    third = next(drawn)
    modes = {third[0]: [ON] * 4, third[1]: [ON, ON, OFF, OFF]}  # a draw says nothing
    assert note(memory, third, {}, modes) == Change(seen_again=4, flipped=1)


def test_rollouts_of_another_batch_are_refused() -> None:
    memory = history()
    prompts = next(memory.batches())
    with pytest.raises(ValueError, match="another batch"):
        note(memory, prompts[::-1], {}, {})
