"""Universal Logit Distillation: compare the shapes of two distributions whose vocabularies differ (arXiv 2402.12030).

A distribution is written as its probabilities in descending order, padded with zeros; the loss of a place is the sum of
absolute differences, so tokens need no common ids. It carries how sure the teacher is and among how many, never which
token it means: cross-entropy has to stay beside it.

From a teacher's K largest probabilities and the mass of the rest, the ranks beyond K are compared as one bucket:

    loss_K = sum over i <= K of |s_i - t_i|  +  |s_tail - t_tail|

That is at most the exact loss, and falls short of it by at most 2 * min(s_tail, t_tail): by nothing where K covers the
teacher's vocabulary. The student needs its K largest only, so nothing is sorted whole.

Memory: logits are read in blocks of rows and their gradient is written in closed form, so that beside the logits and
the gradient that autograd hands on nothing of the size (places, vocabulary) exists; `predict_hidden` makes no logits
but a block's. Half precision is widened block by block.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

BLOCK: Final = {"cpu": 2**22, "other": 2**26}
"""Logits that are widened at once: 16 MiB in float32 for a CPU's caches, 256 MiB where launching costs more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What a model said of N tokens: of the actual ones, of the K most probable, and the mass of all others."""

    own: Tensor  # (N,) log-probability of the token that stands there
    top: Tensor  # (N, K) the largest log-probabilities, descending
    tail: Tensor  # (N,) probability outside `top`


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Sorted probabilities of M spans: `masses` (M, K), and the `tail` (M,) outside them."""

    masses: Tensor
    tail: Tensor


def predict(logits: Tensor, tokens: Tensor, k: int) -> Predictions:
    """Return what `logits` (N, V) say at places where `tokens` (N,) stand; gradients flow into the logits."""
    k = min(k, logits.shape[-1])
    own, top = _Largest.apply(logits, tokens, k)
    tail = torch.zeros_like(own) if k == logits.shape[-1] else (1 - top.exp().sum(-1)).clamp(min=0)
    return Predictions(own=own, top=top, tail=tail)


def predict_hidden(hidden: Tensor, head: Any, tokens: Tensor, k: int) -> Predictions:
    """Return the same from `hidden` (N, H): `head`, a linear layer, runs block by block, and again for the gradient."""
    rows = _rows(head.out_features, hidden)
    parts = [
        checkpoint(_predict_block, hidden[a : a + rows], head, tokens[a : a + rows], k, use_reentrant=False)
        for a in range(0, max(len(hidden), 1), rows)
    ]
    own, top, tail = (torch.cat(column) for column in zip(*parts, strict=True))
    return Predictions(own=own, top=top, tail=tail)


def _predict_block(hidden: Tensor, head: Any, tokens: Tensor, k: int) -> tuple[Tensor, Tensor, Tensor]:
    said = predict(head(hidden), tokens, k)
    return said.own, said.top, said.tail


def merge(said: Predictions, first: Tensor, last: Tensor) -> Spread:
    """Return the distributions of spans of places `first` to `last` (M,), both inclusive, by the chain rule.

    A span of several tokens has the joint probabilities of its actual beginning and each possible last token: the
    distribution of its last place times the probability of the tokens before it. Their sum is that probability.
    """
    scale = prefix(said.own, first, last).exp()
    return Spread(masses=said.top[last].exp() * scale[:, None], tail=said.tail[last] * scale)


def prefix(own: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """Return the log-probability (M,) of all tokens of each span but its last: zero for a span of one token."""
    inner = last - first
    span = torch.arange(len(first), device=own.device).repeat_interleave(inner)
    begins = inner.cumsum(0) - inner
    member = torch.arange(len(span), device=own.device) - begins[span] + first[span]
    return own.new_zeros(len(first)).index_add(0, span, own[member])


def uld(student: Spread, teacher: Spread) -> Tensor:
    """Return each span's loss (M,) from sorted masses and tails: a lower bound of the exact one, as the module says."""
    width = max(student.masses.shape[-1], teacher.masses.shape[-1])
    ours, theirs = (pad(spread.masses, (0, width - spread.masses.shape[-1])) for spread in (student, teacher))
    return (ours - theirs).abs().sum(-1) + (student.tail - teacher.tail).abs()


def uld_exact(
    student: Tensor, teacher: Tensor, student_scale: Tensor | None = None, teacher_scale: Tensor | None = None
) -> Tensor:
    """Return each place's loss (N,) from whole logits (N, V) and (N, W); no gradient reaches the teacher.

    A scale (N,) multiplies a side's distribution: the probability of what a merged span begins with (`prefix`).
    """
    ones = torch.ones(len(student), dtype=_wide(student), device=student.device)
    scales = (ones if scale is None else scale for scale in (student_scale, teacher_scale))
    loss: Tensor = _Exact.apply(student, teacher.detach(), *scales)
    return loss


class _Largest(torch.autograd.Function):
    """Log-probabilities of the actual tokens and of the K largest, with the gradient of the softmax in closed form."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, tokens: Tensor, k: int) -> tuple[Tensor, Tensor]:
        n, wide = len(logits), _wide(logits)
        own, norm = (logits.new_empty(n, dtype=wide) for _ in range(2))
        top, order = logits.new_empty(n, k, dtype=wide), tokens.new_empty(n, k)
        for rows in _blocks(logits):
            block = logits[rows].to(wide)
            norm[rows] = block.logsumexp(-1)
            top[rows], order[rows] = block.topk(k)
            own[rows] = block.gather(-1, tokens[rows, None]).squeeze(-1)
        ctx.save_for_backward(logits, norm, order, tokens)
        return own - norm, top - norm[:, None]

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, to_own: Tensor, to_top: Tensor) -> tuple[Tensor, None, None]:
        logits, norm, order, tokens = ctx.saved_tensors
        gradient, total = torch.empty_like(logits), to_own + to_top.sum(-1)
        for rows in _blocks(logits):
            block = (logits[rows].to(norm.dtype) - norm[rows, None]).exp_().mul_(-total[rows, None])
            block.scatter_add_(-1, order[rows], to_top[rows])
            gradient[rows] = block.scatter_add_(-1, tokens[rows, None], to_own[rows, None])
        return gradient, None, None


class _Exact(torch.autograd.Function):
    """The loss over whole vocabularies; what the gradient needs of the order is one sign a logit, a byte each."""

    @staticmethod
    def forward(ctx: Any, student: Tensor, teacher: Tensor, student_scale: Tensor, teacher_scale: Tensor) -> Tensor:
        signs = torch.empty(student.shape, dtype=torch.int8, device=student.device)
        loss = torch.empty_like(student_scale)
        short = student.shape[-1] - teacher.shape[-1]
        for rows in _blocks(student):
            ours, order = _ascending(_softmax(student, rows).mul_(student_scale[rows, None]))
            theirs = _ascending_values(_softmax(teacher, rows).mul_(teacher_scale[rows, None]))
            # In ascending order the zeros that pad the shorter vocabulary stand in front.
            ours[:, max(short, 0) :] -= theirs[:, max(-short, 0) :]
            loss[rows] = ours.abs().sum(-1) + theirs[:, : max(-short, 0)].sum(-1)
            signs[rows] = torch.empty_like(order, dtype=torch.int8).scatter_(-1, order, ours.sign().to(torch.int8))
        ctx.save_for_backward(student, student_scale, signs)
        return loss

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, to_loss: Tensor) -> tuple[Tensor, None, Tensor, None]:
        student, scale, signs = ctx.saved_tensors
        gradient, to_scale = torch.empty_like(student), torch.empty_like(scale)
        for rows in _blocks(student):
            softmax = _softmax(student, rows)
            to_scale[rows] = mean = torch.linalg.vecdot(softmax, signs[rows].to(softmax.dtype))
            gradient[rows] = softmax.mul_(signs[rows] - mean[:, None]).mul_((scale * to_loss)[rows, None])
        return gradient, None, to_scale * to_loss, None


def _softmax(logits: Tensor, rows: slice) -> Tensor:
    return logits[rows].softmax(-1, dtype=_wide(logits))


def _ascending(values: Tensor) -> tuple[Tensor, Tensor]:
    """Sort rows and return values and order; on a CPU by numpy, whose sort is vectorised and several times faster."""
    if values.device.type != "cpu":
        return tuple(values.sort(dim=-1))
    order = torch.from_numpy(np.argsort(values.numpy(), axis=-1))
    return values.gather(-1, order), order


def _ascending_values(values: Tensor) -> Tensor:
    if values.device.type != "cpu":
        return values.sort(dim=-1).values
    return torch.from_numpy(np.sort(values.numpy(), axis=-1))


def _blocks(logits: Tensor) -> Iterator[slice]:
    rows = _rows(logits.shape[-1], logits)
    return (slice(a, a + rows) for a in range(0, len(logits), rows))


def _rows(vocabulary: int, like: Tensor) -> int:
    return max(1, BLOCK["cpu" if like.device.type == "cpu" else "other"] // vocabulary)


def _wide(logits: Tensor) -> torch.dtype:
    return torch.promote_types(logits.dtype, torch.float32)
