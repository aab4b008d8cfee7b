import asyncio

import pytest

from kat_data.domain.call import Charge
from kat_data.errors import BudgetExhausted
from kat_data.llm.budget import Budget

TEN_CENTS = Charge(usd=0.10, tokens=100)


async def test_a_budget_without_a_cap_never_refuses():
    budget = Budget()
    await budget.reserve(Charge(usd=1e9, tokens=10**15))
    assert budget._reserved == Charge(usd=1e9, tokens=10**15)


async def test_settling_replaces_the_reservation_by_the_real_price():
    budget = Budget(usd=1.0)
    await budget.reserve(TEN_CENTS)
    budget.settle(TEN_CENTS, Charge(usd=0.03, tokens=30))
    assert (budget.spent, budget._reserved) == (Charge(usd=0.03, tokens=30), Charge())


async def test_a_refund_leaves_nothing_behind():
    budget = Budget(usd=1.0)
    await budget.reserve(TEN_CENTS)
    budget.refund(TEN_CENTS)
    assert (budget.spent, budget._reserved) == (Charge(), Charge())


@pytest.mark.parametrize(
    ("caps", "words"),
    [({"usd": 0.25}, ("$0.25", "$0.2000 spent", "$0.1000")), ({"tokens": 250}, ("250 tokens", "200 spent", "100"))],
)
async def test_the_refusal_names_cap_spending_and_what_to_do(caps, words):
    budget = Budget(spent=Charge(usd=0.2, tokens=200), **caps)
    with pytest.raises(BudgetExhausted) as refusal:
        await budget.reserve(TEN_CENTS)
    line = str(refusal.value)
    assert all(word in line for word in (*words, "raise the budget", "run it again"))
    assert "\n" not in line


async def test_exactly_the_cap_can_be_spent_whatever_floats_add_up_to():
    budget = Budget(usd=0.30)
    for _ in range(3):
        await budget.reserve(TEN_CENTS)
        budget.settle(TEN_CENTS, TEN_CENTS)
    with pytest.raises(BudgetExhausted):
        await budget.reserve(Charge(usd=0.000001))


async def test_a_call_waits_while_others_may_give_money_back():
    budget = Budget(usd=0.10)
    await budget.reserve(TEN_CENTS)
    waiting = asyncio.create_task(budget.reserve(TEN_CENTS))
    await asyncio.sleep(0)
    assert not waiting.done()
    budget.refund(TEN_CENTS)
    await waiting
    assert budget._reserved == TEN_CENTS


async def test_a_waiting_call_is_refused_once_nothing_can_come_back():
    budget = Budget(usd=0.10)
    await budget.reserve(TEN_CENTS)
    waiting = asyncio.create_task(budget.reserve(TEN_CENTS))
    await asyncio.sleep(0)
    budget.settle(TEN_CENTS, TEN_CENTS)
    with pytest.raises(BudgetExhausted):
        await waiting


async def test_a_hundred_callers_never_pass_the_cap():
    budget = Budget(usd=1.0, tokens=1_000)
    highest = 0.0

    async def caller(number: int) -> None:
        nonlocal highest
        await budget.reserve(TEN_CENTS)
        highest = max(highest, budget.spent.usd + budget._reserved.usd)
        for _ in range(number % 5):
            await asyncio.sleep(0)
        budget.settle(TEN_CENTS, Charge(usd=0.03, tokens=30))

    outcomes = await asyncio.gather(*(caller(n) for n in range(100)), return_exceptions=True)
    served = outcomes.count(None)
    assert highest <= 1.0 + 1e-9
    # 31 calls cost 93 cents, and the next may cost ten.
    assert served == 31
    assert budget.spent.usd == pytest.approx(0.93)
    assert all(isinstance(outcome, BudgetExhausted) for outcome in outcomes if outcome is not None)
