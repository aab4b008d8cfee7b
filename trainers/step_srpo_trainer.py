"""TRL's GRPO trainer with an advantage for each token, and with prompts that a history chooses.

TRL samples, computes the loss and speaks with vLLM. What is replaced are four private methods of version 1.16: the
rewards are noted, the advantages are put in their place, prompts come from the history, and a rollout may begin with a
given judge. All that concerns groups is computed from the rollouts of all processes, by each process alike.
"""

import os
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import orjson
import torch
from torch import Tensor
from torch.utils.data import Sampler
from transformers import TrainerCallback
from trl import GRPOTrainer

from kat_data.errors import ConfigError
from trainers.advantages import Lengths, Rollouts, count, label, part, rewards, spread, without_judge
from trainers.balance import Balance, Gate
from trainers.gauges import gauge, gauge_suites, think_on
from trainers.history import History, Resampling
from trainers.presets import Algorithm, advantages
from trainers.replies import read
from trainers.segments import NONE, Segments, segment, tags_of

TRL: Final = "1.16"
STATE: Final = "step_srpo.json"
"""The file that completes a checkpoint: a folder without it was being written when the run was killed."""


class Schedule(Sampler[int]):
    """The order of rows that TRL's trainer expects, from a history: each prompt `generations` times in a row.

    A batch comes `repeats` times, once for each step that is made of its rollouts. It never ends; `length` is what the
    whole run needs.
    """

    def __init__(self, history: History, *, generations: int, repeats: int, length: int) -> None:
        self._history, self._generations, self._repeats, self._length = history, generations, repeats, length

    def __iter__(self) -> Iterator[int]:
        for prompts in self._history.batches():
            for _ in range(self._repeats):
                for prompt in prompts:
                    yield from [prompt] * self._generations

    def __len__(self) -> int:
        return self._length


class StepSRPOTrainer(GRPOTrainer):
    """Trains by the algorithm's advantages; the dataset's rows have `prompt` (a text), `row` (their own place).

    A column `pass_rate` is AdaptThink's reference, and `suite` names one by whose values figures are given once more.
    `accuracy` is a reward function of TRL's kind, which gives 1, 0 or none.
    """

    def __init__(
        self,
        *,
        accuracy: Any,
        algorithm: Algorithm,
        resampling: Resampling,
        balance: Balance | None = None,
        suite: str | None = None,
        **given: Any,
    ) -> None:
        require_trl()
        super().__init__(reward_funcs=[accuracy, well_formed], **given)
        dataset = self.train_dataset
        self.algorithm, self.gate = algorithm, Gate(balance)
        self.history = History(
            len(dataset),
            self.args.generation_batch_size // self.num_generations,
            seed=self.args.seed,
            resampling=resampling,
            constants=algorithm.constants,
        )
        self._tags = tags_of(self.processing_class)
        self._suites: Sequence[str] | None = dataset[suite] if suite else None
        rates = dataset["pass_rate"] if "pass_rate" in dataset.column_names else [None] * len(dataset)
        self._pass_rates = torch.tensor([float("nan") if rate is None else float(rate) for rate in rates])
        self._given: list[int] = []
        self._scores = torch.empty(0)
        self.add_callback(_Keeper(self))

    def go_on_from(self, checkpoint: Path) -> None:
        """Take history and gate from a checkpoint, which `train` has to be given as well."""
        found = orjson.loads((checkpoint / STATE).read_bytes())
        self.history.restore(found["history"])
        self.gate.above, self.gate.below = found["above"], found["below"]

    def keep(self, checkpoint: Path) -> None:
        """Write history and gate into a checkpoint, which is whole from then on."""
        state = {"history": self.history.state(), "above": self.gate.above, "below": self.gate.below}
        unfinished = checkpoint / f".{STATE}"
        with unfinished.open("wb") as file:
            file.write(orjson.dumps(state))
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(checkpoint / STATE)

    def _get_train_sampler(self, dataset: Any = None) -> Schedule:
        args = self.args
        return Schedule(
            self.history,
            generations=self.num_generations,
            repeats=self.num_iterations * args.steps_per_generation,
            length=args.max_steps * args.gradient_accumulation_steps * args.generation_batch_size,
        )

    def _generate_single_turn(self, prompt_ids: list[list[int]], *given: Any, **named: Any) -> Any:
        begun = self._prefixes(len(prompt_ids))
        self._given = [len(prefix) for prefix in begun]
        asked = [[*prompt, *prefix] for prompt, prefix in zip(prompt_ids, begun, strict=True)]
        ids, logprobs = super()._generate_single_turn(asked, *given, **named)
        ids = [[*prefix, *own] for prefix, own in zip(begun, ids, strict=True)]
        if logprobs is not None:  # none of a token stands for a ratio of 1, and its advantage is 0
            logprobs = [[None] * size + list(own) for size, own in zip(self._given, logprobs, strict=True)]
        return ids, logprobs

    def _calculate_rewards(self, *given: Any, **named: Any) -> Any:
        self._scores = super()._calculate_rewards(*given, **named)
        return self._scores

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        output: dict[str, Any] = super()._generate_and_score_completions(inputs)
        if not self.model.training:
            return output
        ids, mask = output["completion_ids"], output["completion_mask"].bool()
        parts = segment(ids, mask, self._tags)
        generated = mask & (torch.arange(ids.shape[1]) >= torch.tensor(self._given)[:, None]).to(ids.device)
        row = torch.tensor([given["row"] for given in inputs])
        batch, prompts, lengths = self._gathered(row, parts, generated)

        earned = advantages(batch, lengths, self.algorithm)
        if self.gate.masks_judge:
            earned = without_judge(earned)
        first = self.accelerator.process_index * len(inputs)
        own = part(earned, slice(first, first + len(inputs)), ids.device)
        output["advantages"] = spread(own, parts, generated)
        self._learn_of(batch, prompts, lengths)
        return output

    def _prefixes(self, number: int) -> list[list[int]]:
        """The given judge of each rollout here, which is empty where the rollout begins by itself."""
        if not self.model.training or self.gate.minority is None:
            return [[]] * number
        prefix, first = self.gate.prefix(self.processing_class), self.accelerator.process_index * number
        places = range(first, first + number)
        return [prefix if self.gate.is_forced(place, self.num_generations) else [] for place in places]

    def _gathered(self, row: Tensor, parts: Segments, generated: Tensor) -> tuple[Rollouts, Tensor, Lengths]:
        """Return the rollouts of all processes, the prompts of their groups, and their lengths, on the CPU."""
        device = generated.device
        masks = (parts.judge & ~parts.tag & generated, parts.tag & generated, parts.rest & generated)
        facts = [parts.modes, row.to(device), torch.tensor(self._given, device=device), *(m.sum(1) for m in masks)]
        modes, row, given, judge, tag, rest = self.accelerator.gather(torch.stack(facts, 1)).cpu().unbind(1)
        prompts = row[:: self.num_generations]
        accuracy, formed = self._scores.cpu().unbind(1)
        batch = Rollouts(
            accuracy=accuracy.double(),
            well_formed=formed * (modes != NONE),
            modes=modes,
            groups=torch.arange(len(row)) // self.num_generations,
            forced=given > 0,
            history=self.history.counts[prompts],
            reference=self._pass_rates[row],
        )
        return batch, prompts, Lengths(judge=judge, tag=tag, rest=rest, given=given)

    def _learn_of(self, batch: Rollouts, prompts: Tensor, lengths: Lengths) -> None:
        """Take a scored batch into the history, the gate and the figures."""
        constants = self.algorithm.constants
        labels = label(count(batch, constants.decay), constants.delta, constants.least)
        change = self.history.note(prompts, batch)
        self.gate.note(think_on(batch))
        found = gauge(batch, lengths, labels, rewards(batch, labels, constants), change)
        found["history/passes"] = float(self.history.passes)
        found["history/left_out"] = float(self.history.left_out.sum())
        if self._suites is not None:
            found |= gauge_suites(batch, lengths, [str(self._suites[prompt]) for prompt in prompts.tolist()])
        for name, value in found.items():
            self._metrics["train"][name].append(value)


def well_formed(completions: Sequence[str], **_: Any) -> list[float]:
    """Return 1 for each completion that is written as the template has it, else 0."""
    return [float(read(text) is not None) for text in completions]


def require_trl() -> None:
    """Raise `ConfigError` unless TRL is the version whose private methods are replaced here."""
    found = version("trl")
    if not found.startswith(f"{TRL}."):
        raise ConfigError(f"Step-SRPO needs trl {TRL}, and {found} is installed: pip install 'trl=={TRL}.*'")


def last_whole_checkpoint(folder: Path) -> Path | None:
    """Return the newest checkpoint that was written to its end, none where a run has to begin at the start."""
    whole = [state.parent for state in folder.glob(f"checkpoint-*/{STATE}")]
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


class _Keeper(TrainerCallback):
    """Completes checkpoints, and goes on with the random numbers of one after a resume."""

    def __init__(self, trainer: StepSRPOTrainer) -> None:
        self._trainer = trainer
        self._started = False

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Load the random state once more: making the loader, which a run that was not killed does once, drew of it."""
        if not self._started and state.global_step:
            checkpoint = Path(args.output_dir) / f"checkpoint-{state.global_step}"
            self._trainer._load_rng_state(str(checkpoint))
        self._started = True

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        state.epoch = state.global_step / state.max_steps  # which else begins anew with a resume

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self._trainer.accelerator.wait_for_everyone()
        if state.is_world_process_zero:
            self._trainer.keep(Path(args.output_dir) / f"checkpoint-{state.global_step}")
