"""What `kat run --preview` says of the whole: its cost, told by the run of a few queries."""

from typing import Any

from kat_data.cli.output import rounded, say, usd


def extrapolate(found: dict[str, Any], total: int) -> dict[str, Any]:
    """Return what all `total` queries would cost and bring, from the report of a run over some of them.

    A recipe with a mixture works only until it has its samples: its cost is that of a sample that counted in the
    preview, for every sample that the mixture would come to. `unseen` are the strata of which the preview had none.
    """
    factor = total / found["queries"]
    cost = found["cost"]
    tokens = cost["prompt_tokens"] + cost["completion_tokens"]
    if not found["mixture"]:
        whole = {"usd": cost["usd_used"] * factor, "accepted": found["accepted"] * factor, "tokens": tokens * factor}
        return rounded({"queries": total, **whole})
    strata = found["mixture"]
    counted = sum(stratum["samples"] for stratum in strata)
    accepted = sum(min(stratum["target"], stratum["samples"] * factor) for stratum in strata)
    times = accepted / counted if counted else factor
    guess = {
        "queries": total,
        "usd": cost["usd_used"] * times,
        "accepted": accepted,
        "tokens": tokens * times,
        "wanted": sum(stratum["target"] for stratum in strata),
        "unseen": [stratum["stratum"] for stratum in strata if stratum["target"] and not stratum["samples"]],
    }
    return rounded(guess)


def print_extrapolation(guess: dict[str, Any]) -> None:
    """Say it in a line for people, and in a second one what it leaves out."""
    spent = f"about {usd(guess['usd'])}, {guess['tokens']:,.0f} tokens, {guess['accepted']:,.0f} accepted samples"
    if "wanted" not in guess:
        say(f"all {guess['queries']:,} queries: {spent}")
        return
    say(f"the mixture, from {guess['queries']:,} queries: {spent} of the {guess['wanted']:,} that it asks for")
    if guess["unseen"]:
        say(f"none of the preview's samples counts for {'; '.join(guess['unseen'])}: what these cost cannot be told")
