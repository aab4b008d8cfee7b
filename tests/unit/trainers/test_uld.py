"""ULD against a loop that anyone can read, against TRL's class, and its gradients, bounds and memory."""

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from trainers import uld as module  # noqa: E402
from trainers.uld import Predictions, Spread, merge, predict, predict_hidden, prefix, uld, uld_exact  # noqa: E402


def logits(seed: int, *shape: int, scale: float = 3.0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return (torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale).to(dtype)


def tokens(seed: int, n: int, vocabulary: int) -> torch.Tensor:
    return torch.randint(vocabulary, (n,), generator=torch.Generator().manual_seed(seed))


def naive(ours: list[float], theirs: list[float]) -> float:
    """The definition: sort both, pad with zeros, add up what they differ by."""
    size = max(len(ours), len(theirs))
    ours, theirs = (sorted(side, reverse=True) + [0.0] * (size - len(side)) for side in (ours, theirs))
    return sum(abs(a - b) for a, b in zip(ours, theirs, strict=True))


def cut(seed: int, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut `n` places into spans of one to four; first and last places."""
    sizes = torch.randint(1, 5, (n,), generator=torch.Generator().manual_seed(seed))
    last = sizes.cumsum(0) - 1
    last = last[last < n]
    return torch.cat([torch.zeros(1, dtype=torch.long), last[:-1] + 1]), last


def singles(said: Predictions) -> Spread:
    every = torch.arange(len(said.own))
    return merge(said, every, every)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(4, 20),
    ours=st.integers(2, 40),
    theirs=st.integers(2, 40),
    scale=st.floats(0.1, 12),
)
def test_both_forms_are_the_definition(seed: int, n: int, ours: int, theirs: int, scale: float) -> None:
    student, teacher = logits(seed, n, ours, scale=scale), logits(seed + 1, n, theirs, scale=scale)
    wanted = [naive(a, b) for a, b in zip(student.softmax(-1).tolist(), teacher.softmax(-1).tolist(), strict=True)]
    whole = uld_exact(student, teacher)
    largest = uld(*(singles(predict(side, tokens(seed, n, 2), theirs)) for side in (student, teacher)))
    torch.testing.assert_close(whole, torch.tensor(wanted, dtype=torch.float64))
    torch.testing.assert_close(largest, whole)  # K covers the teacher's vocabulary: nothing is approximated


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(1, 30), scale=st.floats(0.1, 12), other=st.floats(0.1, 12))
def test_a_smaller_k_falls_short_by_at_most_twice_the_smaller_tail(
    seed: int, k: int, scale: float, other: float
) -> None:
    student, teacher = logits(seed, 8, 30, scale=scale), logits(seed + 1, 8, 24, scale=other)
    said = [predict(side, tokens(seed, 8, 24), k) for side in (student, teacher)]
    shortfall = uld_exact(student, teacher) - uld(*map(singles, said))
    bound = 2 * torch.minimum(said[0].tail, said[1].tail)
    assert (shortfall >= -1e-12).all()
    assert (shortfall <= bound + 1e-12).all()


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), ours=st.integers(3, 30), theirs=st.integers(3, 30))
def test_merged_spans_follow_the_chain_rule(seed: int, ours: int, theirs: int) -> None:
    first, last = cut(seed, 16)
    teacher_first, teacher_last = cut(seed + 1, 40)
    spans = min(len(first), len(teacher_first))
    sides = []
    for size, n, begin, end in ((ours, 16, first, last), (theirs, 40, teacher_first, teacher_last)):
        sides.append((logits(seed + size, n, size), tokens(seed + size, n, size), begin[:spans], end[:spans]))
    wanted = []
    for m in range(spans):
        merged = []
        for values, actual, begin, end in sides:
            probability = 1.0
            for place in range(int(begin[m]), int(end[m])):
                probability *= float(values[place].softmax(-1)[actual[place]])
            merged.append([float(p) * probability for p in values[end[m]].softmax(-1)])
        wanted.append(naive(*merged))
    said = [predict(values, actual, 30) for values, actual, _, _ in sides]
    scales = [prefix(one.own, side[2], side[3]).exp() for one, side in zip(said, sides, strict=True)]
    exact = uld_exact(sides[0][0][sides[0][3]], sides[1][0][sides[1][3]], *scales)
    largest = uld(*(merge(one, side[2], side[3]) for one, side in zip(said, sides, strict=True)))
    torch.testing.assert_close(exact, torch.tensor(wanted, dtype=torch.float64))
    torch.testing.assert_close(largest, exact)


@pytest.mark.parametrize(("ours", "theirs"), [(7, 7), (5, 9), (9, 5)])
def test_gradients_of_whole_vocabularies_are_right(ours: int, theirs: int) -> None:
    student, teacher = logits(1, 6, ours).requires_grad_(), logits(2, 6, theirs)
    scale = torch.rand(6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    other = scale.flip(0)
    assert torch.autograd.gradcheck(
        lambda a, b: uld_exact(a, teacher, b, other), (student, scale.clone().requires_grad_())
    )


@pytest.mark.parametrize("k", [1, 3, 9])
def test_gradients_of_the_largest_are_right_also_through_a_merge(k: int) -> None:
    student, first, last = logits(1, 9, 9).requires_grad_(), *cut(3, 9)
    actual, teacher = tokens(4, 9, 9), singles(predict(logits(2, len(first), 12), tokens(4, len(first), 12), k))

    def loss(values: torch.Tensor) -> torch.Tensor:
        said = predict(values, actual, k)
        return uld(merge(said, first, last), teacher).sum() - said.own.sum()

    assert torch.autograd.gradcheck(loss, (student,))


def test_a_place_in_no_span_gets_no_gradient() -> None:
    student = logits(1, 8, 12).requires_grad_()
    said, teacher = predict(student, tokens(1, 8, 12), 4), singles(predict(logits(2, 2, 10), tokens(1, 2, 10), 4))
    uld(merge(said, torch.tensor([1, 5]), torch.tensor([1, 6])), teacher).sum().backward()
    assert student.grad is not None
    touched = (student.grad.abs().sum(-1) > 0).nonzero().flatten().tolist()
    assert set(touched) <= {1, 5, 6}
    assert {1, 5} <= set(touched)


def test_cross_entropy_is_the_mean_of_own() -> None:
    student, actual = logits(1, 8, 12), tokens(1, 8, 12)
    torch.testing.assert_close(
        -predict(student, actual, 3).own.mean(), torch.nn.functional.cross_entropy(student, actual)
    )


def test_no_place_is_no_error() -> None:
    student, none = torch.zeros(0, 12, requires_grad=True), torch.zeros(0, dtype=torch.long)
    said = predict(student, none, 3)
    assert uld(merge(said, none, none), singles(said)).sum() == 0
    head = torch.nn.Linear(4, 12)
    assert predict_hidden(torch.zeros(0, 4), head, none, 3).top.shape == (0, 3)
    assert uld_exact(student, torch.zeros(0, 9)).shape == (0,)


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def both() -> list[torch.Tensor]:
        student, teacher, actual = logits(1, 13, 12).requires_grad_(), logits(2, 13, 10), tokens(1, 13, 10)
        loss = uld(singles(predict(student, actual, 4)), singles(predict(teacher, actual, 4)))
        (loss.sum() + uld_exact(student, teacher).sum()).backward()
        assert student.grad is not None
        return [loss, student.grad]

    whole = both()
    monkeypatch.setitem(module.BLOCK, "cpu", 40)
    torch.testing.assert_close(both(), whole)


def test_hidden_states_give_what_their_logits_give(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(module.BLOCK, "cpu", 4 * 20)
    head = torch.nn.Linear(6, 20, bias=False, dtype=torch.float64)
    actual, teacher = tokens(1, 11, 20), singles(predict(logits(2, 11, 15), tokens(2, 11, 15), 5))
    gradients = []
    for by_blocks in (False, True):
        hidden = logits(3, 11, 6).requires_grad_()
        head.weight.grad = None
        said = predict_hidden(hidden, head, actual, 5) if by_blocks else predict(head(hidden), actual, 5)
        (uld(singles(said), teacher).mean() - said.own.mean()).backward()
        gradients.append([hidden.grad, head.weight.grad])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_half_precision_is_widened() -> None:
    student, teacher = logits(1, 16, 4000, dtype=torch.bfloat16), logits(2, 16, 3000, dtype=torch.bfloat16)
    actual = tokens(1, 16, 3000)
    for loss in (
        lambda s: uld_exact(s, teacher.to(s.dtype)),
        lambda s: uld(singles(predict(s, actual, 8)), singles(predict(teacher, actual, 8))),
    ):
        half, full = student.clone().requires_grad_(), student.float().requires_grad_()
        low, high = loss(half), loss(full)
        low.sum().backward()
        high.sum().backward()
        assert low.dtype == torch.float32
        torch.testing.assert_close(low, high, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(half.grad, full.grad.bfloat16())


def test_logits_far_apart_stay_finite() -> None:
    student = torch.tensor([[0.0, -1e4, -3e4], [300.0, 0.0, -300.0]], requires_grad=True)
    said = predict(student, torch.tensor([2, 0]), 2)
    (uld(singles(said), Spread(masses=torch.zeros(2, 5), tail=torch.zeros(2))).sum() + said.own.sum()).backward()
    assert student.grad is not None
    assert student.grad.isfinite().all()


class Allocated(torch.utils._python_dispatch.TorchDispatchMode):
    """Notes the largest float tensors that operations make."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.is_floating_point() and not made._is_view():
            self.sizes.append(made.untyped_storage().nbytes())
        return made


def test_memory_beside_the_gradient_is_a_few_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    n, vocabulary = 512, 1000
    monkeypatch.setitem(module.BLOCK, "cpu", 8 * vocabulary)
    student, teacher = torch.randn(n, vocabulary, requires_grad=True), torch.randn(n, vocabulary)
    for loss in (lambda: predict(student, tokens(1, n, 9), 8).top.sum(), lambda: uld_exact(student, teacher).sum()):
        with Allocated() as made:
            loss().backward()
        whole = [size for size in made.sizes if size >= student.nbytes]
        assert set(whole) == {student.nbytes}
        assert max(size for size in made.sizes if size < student.nbytes) <= 8 * vocabulary * 4 + n * 9 * 4


def trl_loss(student, teacher, ours, theirs, ends, teacher_ends):  # type: ignore[no-untyped-def]
    """TRL's class where it is right: the strategy that shifts, offsets of bytes, no token of the end left out."""
    gold = pytest.importorskip("trl.experimental.gold.gold_trainer")
    config = SimpleNamespace(
        uld_crossentropy_weight=0.0,
        uld_distillation_weight=1.0,
        uld_student_temperature=1.0,
        uld_teacher_temperature=1.0,
        uld_skip_student_eos=False,
        uld_skip_teacher_eos=False,
        use_extended_uld=True,
        uld_token_merge_strategy="bayesian",
    )
    labels = [torch.cat([torch.full((1,), -100), side])[None] for side in (ours, theirs)]
    ids = [torch.cat([torch.zeros(1, dtype=torch.long), side])[None] for side in (ours, theirs)]
    offsets = []
    for side in (ends, teacher_ends):
        starts = torch.cat([torch.zeros(1, dtype=torch.long), side[:-1]])
        offsets.append(torch.cat([torch.zeros(1, 2, dtype=torch.long), torch.stack([starts, side], -1)])[None])
    # The last place predicts what follows the text; TRL takes logits of every place.
    padded = [torch.cat([side, torch.zeros_like(side[:1])])[None] for side in (student, teacher)]
    return gold.ULDLoss(config)(*padded, *labels, *ids, *offsets)


@pytest.mark.parametrize("seed", range(6))
def test_trls_class_says_the_same(seed: int) -> None:
    first, last = cut(seed, 12)
    teacher_first, teacher_last = cut(seed + 50, 16)
    spans = min(len(first), len(teacher_first))
    n, m = int(last[spans - 1]) + 1, int(teacher_last[spans - 1]) + 1
    student, teacher = logits(seed, n, 30, scale=1.0).requires_grad_(), logits(seed + 1, m, 40, scale=1.0)
    ours, theirs = tokens(seed, n, 30), tokens(seed + 1, m, 40)
    # A span ends at a multiple of ten on both sides; tokens within one end at places the other side does not know.
    ends, teacher_ends = torch.zeros(n, dtype=torch.long), torch.zeros(m, dtype=torch.long)
    for side, begin, end, odd in ((ends, first, last, 1), (teacher_ends, teacher_first, teacher_last, 5)):
        for span in range(spans):
            size = int(end[span] - begin[span])
            side[begin[span] : end[span] + 1] = 10 * span + odd + torch.arange(size + 1)
            side[end[span]] = 10 * (span + 1)
    reference = trl_loss(student, teacher, ours, theirs, ends, teacher_ends)
    (wanted,) = torch.autograd.grad(reference, student)
    said = [
        merge(predict(student, ours, 40), first[:spans], last[:spans]),
        merge(predict(teacher, theirs, 40), teacher_first[:spans], teacher_last[:spans]),
    ]
    loss = uld(*said).mean()
    (gradient,) = torch.autograd.grad(loss, student)
    torch.testing.assert_close(loss, reference)
    torch.testing.assert_close(gradient, wanted)
