"""The lineage of a snapshot as a tree, and what was trained on it."""

from typing import Any

from rich.text import Text
from rich.tree import Tree

from kat_data.cli.output import printable, usd

Row = dict[str, Any]


def snapshot_tree(found: Row) -> Tree:
    """Return the tree of a snapshot as the registry and its folder know it."""
    aliases = f" ({', '.join(found['aliases'])})" if found["aliases"] else ""
    top = Tree(_line(f"snapshot {found['name']}@{found['version']}{aliases}", bold=True))
    top.add(_line(f"content hash {found['hash']}"))
    top.add(_line(f"folder {found['path']}"))
    top.add(_line(f"{found['stage']}, {found['rows']:,} rows, built at {found['built_at']} by {found['code_version']}"))
    if parent := found["parent"]:
        top.add(_line(f"follows {parent['label']} ({parent['content_hash'][:16]})"))
    _runs(top, found)
    _contents(top, found)
    models = top.add("models")
    for role, named in found["models"].items():
        models.add(_line(f"{role}: {', '.join(named)}"))
    _money(top, found["money"])
    training_branch(top, found.get("training") or [])
    return top


def training_branch(top: Tree, training: list[Row]) -> None:
    """Add the training runs, each with what it used and the checkpoint that came of it."""
    if not training:
        return
    branch = top.add(_line("training runs", bold=True))
    for run in training:
        node = branch.add(_line(f"{run['trainer']} {run['hash'][:12]}, {run['state']}, of {run['base_model']}"))
        for given in run["inputs"]:
            node.add(_line(f"trained on {given['label']} ({given['hash'][:16]})"))
        if run["after"]:
            node.add(_line(f"went on from the checkpoint of {run['after'][:12]}"))
        if run["metrics"]:
            node.add(_line(", ".join(f"{name} {_figure(value)}" for name, value in run["metrics"].items())))
        if run["checkpoint"]:
            digits = f" ({run['checkpoint_hash'][:16]})" if run["checkpoint_hash"] else ""
            node.add(_line(f"checkpoint {run['checkpoint']}{digits}", bold=True))


def _runs(top: Tree, found: Row) -> None:
    if not found.get("known"):
        top.add(_line("The registry does not know this snapshot: what stands here is what its manifest says."))
        return
    branch = top.add("runs")
    for run in found["runs"]:
        branch.add(_line(f"run {run['id']} ({run['name']}), {run['state']}: {run['rows']:,} rows"))
    if found["withdrawn"]:
        told = "create the snapshot again, and take this version back where you pushed it"
        top.add(_line(f"{found['withdrawn']:,} of the rows are withdrawn: {told}"))


def _contents(top: Tree, found: Row) -> None:
    sources = top.add("sources")
    for name, rows in found["sources"].items():
        sources.add(_line(f"{name}: {rows:,} rows"))
    top.add(_line("licences: " + ", ".join(f"{name} {rows:,}" for name, rows in found["licences"].items())))
    recipe = found["recipe"]
    stages = [stage if isinstance(stage, str) else next(iter(stage)) for stage in recipe.get("stages") or []]
    top.add(_line(f"recipe: seed {found['seed']}, stages {' → '.join(stages)}"))


def _money(top: Tree, money: Row) -> None:
    if "usd_used" in money:
        tokens = f"{money['prompt_tokens']:,} + {money['completion_tokens']:,} tokens"
        top.add(_line(f"money: {usd(money['usd_used'])} for every call behind its run, {tokens}"))


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _line(said: str, *, bold: bool = False) -> Text:
    return Text(printable(said), style="bold" if bold else "")
