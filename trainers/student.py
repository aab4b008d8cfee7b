"""The student of a distillation: a model, the MTP modules beside it, and what each says of the tokens to learn.

Everything that a loss is made of is computed in `forward`, so that wrappers which shard or replicate a module see one
forward pass. No logits of a whole batch ever exist: see `trainers.uld`.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainers.examples import IGNORED
from trainers.mtp import Mtp
from trainers.uld import Predictions, merge, predict_hidden, uld

Sums = dict[str, Tensor]


class Student(nn.Module):
    """A plain causal language model with or without MTP modules; `save_pretrained` keeps the model plain."""

    accepts_loss_kwargs = True  # losses are sums, divided by the tokens of the whole step
    main_input_name = "input_ids"

    def __init__(self, base: Any, mtp: Mtp | None) -> None:
        super().__init__()
        self.base = base
        self.mtp = mtp
        self.config = base.config
        self._no_split_modules = base._no_split_modules
        self._keys_to_ignore_on_save = base._keys_to_ignore_on_save

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        labels: Tensor,
        spans: Tensor | None = None,
        teacher: dict[str, Tensor] | None = None,
    ) -> list[Sums]:
        """Return for the model and each depth the sums over a batch of `ce`, `uld` and `right` (the best was meant).

        `labels` (B, T) are -100 where nothing is learned, and the first to learn stands behind more tokens than there
        are depths. Counted over the learned tokens in the batch's order, `spans` (4, M) holds the first and last token
        of each span, then the same of the teacher, whose `own` (N,), `top` (N, K) and `tail` (N,) are `teacher`.
        """
        hidden = self.base.get_decoder()(input_ids=input_ids, attention_mask=attention_mask, use_cache=False)
        states = [hidden.last_hidden_state]
        if self.mtp is not None:
            states += self.mtp(self.base, states[0], input_ids, attention_mask)
        row, place = (labels != IGNORED).nonzero(as_tuple=True)
        tokens = labels[row, place]
        theirs = None
        if teacher is not None and spans is not None:
            theirs = merge(Predictions(**teacher), spans[2], spans[3])
        found = []
        for depth, state in enumerate(states):
            # State t of depth k predicts token t + k + 1, so that one teacher's answer serves every depth.
            k = 1 if theirs is None else theirs.masses.shape[-1]
            said = predict_hidden(state[row, place - depth - 1], self.base.get_output_embeddings(), tokens, k)
            right = (said.own >= said.top[:, 0]).sum()
            found.append({"ce": -said.own.sum(), "uld": said.own.new_zeros(()), "right": right})
            if theirs is not None and spans is not None:
                found[-1]["uld"] = uld(merge(said, spans[0], spans[1]), theirs).sum()
        return found

    def save_pretrained(self, folder: str | Path, state_dict: dict[str, Tensor] | None = None) -> None:
        """Save the model, plain, and the modules in a folder beside it; `state_dict` is one gathered elsewhere."""
        self.base.save_pretrained(folder, state_dict=_part(state_dict, "base."))
        if self.mtp is not None:
            self.mtp.save(Path(folder), _part(state_dict, "mtp."))

    def activation_checkpointing_enable(self, **given: Any) -> None:
        """Keep the inputs of layers alone, and run them again for their gradients."""
        self.base.activation_checkpointing_enable(**given)
        if self.mtp is not None:
            self.mtp.checkpointing = True


def collate(examples: list[dict[str, Any]], padding: int, cache: Any) -> dict[str, Any]:
    """Return lessons as one batch, padded behind; `cache` gives the teachers' answers, or is None."""
    width = max(len(one["input_ids"]) for one in examples)
    batch: dict[str, Any] = {
        "input_ids": _padded(examples, "input_ids", width, padding),
        "attention_mask": torch.tensor(
            [[1] * len(e["input_ids"]) + [0] * (width - len(e["input_ids"])) for e in examples]
        ),
        "labels": _padded(examples, "labels", width, IGNORED),
    }
    if cache is None:
        return batch
    said = [cache[one["key"]] for one in examples]
    learned = [sum(label != IGNORED for label in one["labels"]) for one in examples]
    before, theirs_before = 0, 0
    spans = []
    for one, own, answer in zip(examples, learned, said, strict=True):
        ours = torch.tensor([one["first"], one["last"]], dtype=torch.long) + before
        theirs = torch.tensor([one["teacher_first"], one["teacher_last"]], dtype=torch.long) + theirs_before
        spans.append(torch.cat([ours, theirs]))
        before, theirs_before = before + own, theirs_before + len(answer.own)
    batch["spans"] = torch.cat(spans, dim=-1)
    batch["teacher"] = {
        name: torch.cat([torch.from_numpy(getattr(answer, name)).float() for answer in said])
        for name in ("own", "top", "tail")
    }
    return batch


def _padded(examples: list[dict[str, Any]], name: str, width: int, value: int) -> Tensor:
    return torch.tensor([one[name] + [value] * (width - len(one[name])) for one in examples])


def _part(state: dict[str, Tensor] | None, prefix: str) -> dict[str, Tensor] | None:
    if state is None:
        return None
    return {name.removeprefix(prefix): weight for name, weight in state.items() if name.startswith(prefix)}
