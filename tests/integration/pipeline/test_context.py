"""What decides samples beside recipe and queries: where it changes, a run does not go on, and another one is opened."""

import pytest

from kat_data.domain.query import VerifierKind
from kat_data.errors import BudgetExhausted, UserError
from kat_data.executors.local import execute_run
from kat_data.pipeline import run as opening
from kat_data.verifiers.dispatch import NAMES

pytestmark = pytest.mark.integration


@pytest.fixture
def upgraded(monkeypatch: pytest.MonkeyPatch):
    """Have a newer version of the verifiers of some kinds."""

    def upgrade(*kinds: VerifierKind) -> None:
        monkeypatch.setattr(opening, "NAMES", {**NAMES, **dict.fromkeys(kinds, "newer/9")})

    return upgrade


async def test_a_run_is_of_its_verifiers_and_a_new_one_pays_no_call_twice(
    run, lean, add_queries, easy_queries, server, upgraded
) -> None:
    add_queries(*easy_queries)
    first = await run(lean())
    assert first.context["verifiers"][VerifierKind.KEYWORD] == NAMES[VerifierKind.KEYWORD]
    asked = server.statistics.requests
    upgraded(VerifierKind.KEYWORD)
    second = await run(lean())
    assert second.id != first.id
    assert server.statistics.requests == asked


async def test_a_run_does_not_go_on_with_other_verifiers(
    registry, run, lean, add_queries, easy_queries, look, upgraded
) -> None:
    add_queries(*easy_queries)
    with pytest.raises(BudgetExhausted):
        await run(lean(budget={"usd": 0.0}))
    [row] = look.runs()
    upgraded(VerifierKind.MATH, VerifierKind.CODE)
    with pytest.raises(UserError, match=r"^the verifiers \(code, math\) have changed since run 1 was opened"):
        await execute_run(registry, row)


async def test_a_run_that_names_no_verifiers_counts_as_changed(
    registry, run, lean, add_queries, easy_queries, look
) -> None:
    add_queries(*easy_queries)
    await run(lean())
    with registry.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE runs SET context = '{}', state = 'stopped'")
    [row] = look.runs()
    with pytest.raises(UserError, match=r"^the verifiers have changed since run 1 was opened"):
        await execute_run(registry, row)
