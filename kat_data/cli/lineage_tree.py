"""Lineages as trees that people read: the chain from top to bottom, one thing a line, whole texts only where asked."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import orjson
from rich.cells import cell_len, chop_cells
from rich.text import Text
from rich.tree import Tree

from kat_data.cli.output import printable, usd
from kat_data.cli.snapshot_tree import snapshot_tree, training_branch

Row = dict[str, Any]

_WORDS = 90  # columns of a text that stand for it


def tree(found: Row, *, full: bool) -> Tree:
    """Return the tree of what `pipeline.lineage.trace` found."""
    if found["kind"] == "snapshot":
        return snapshot_tree(found)
    if found["kind"] == "row":
        return _row_tree(found, full=full)
    return _SampleTree(found, full=full).tree()


def _row_tree(found: Row, *, full: bool) -> Tree:
    row = found["row"]
    top = Tree(_text("row ", row["id"], bold=True))
    top.add(_text("The registry does not know this row: what follows is what its snapshot says."))
    top.add(_text("query ", row["query"]))
    top.add(_text("from ", row["source"], ", licence ", row["licence"]))
    top.add(_text(*_joined([row["category"], row["domain"], row["mode"], _difficulty(row["difficulty"])])))
    top.add(_text("lineage ", row["lineage"]))
    content = top.add("content")
    for message in [*(row.get("messages") or []), *(row.get("prompt") or []), *(row.get("completion") or [])]:
        content.add(_text(message["role"], ": ", message["content"] if full else _words(message["content"])))
    top.add(snapshot_tree(found["snapshot"]))
    return top


class _SampleTree:
    """A sample's or a dropped item's lineage; `full` shows every text whole."""

    def __init__(self, found: Row, *, full: bool) -> None:
        self._found = found
        self._full = full

    def tree(self) -> Tree:
        found = self._found
        sample, item = found["sample"], found["item"]
        name = f"sample {sample['hash'].hex()}" if sample else f"item {found['run']}/{found['query']['id']}"
        top = Tree(_text(name, bold=True))
        top.add(_text(f"run {found['run']}: ", item["state"], " at ", item["stage"], *_because(item)))
        top.add(_text("cost ", usd(found["usd"]), f" in {len(found['calls'])} calls"))
        self._query(top.add(_text("query ", found["query"]["hash"])))
        self._labels(top)
        for turn in sorted({row["turn"] for row in (*found["turns"], *found["candidates"], *found["votes"])}):
            self._turn(top.add(_text(f"turn {turn + 1}", bold=True)), turn)
        self._calls(top)
        self._decisions(top)
        self._snapshots(top)
        training_branch(top, found["training"])
        if self._full and found["messages"]:
            trained = top.add("training text")
            for message in found["messages"]:
                trained.add(_text(message["role"], ": ", message["content"], *_tools(message)))
        return top

    def _query(self, branch: Tree) -> None:
        query = self._found["query"]
        branch.add(_text("from ", query["source"], f", line {query['line']}", ", licence ", query["licence"]))
        if query.get("document"):
            branch.add(_text("of the document ", query["document"]))
        branch.add(_text("category ", query["category"]))
        for message in query["messages"]:
            branch.add(self._said(message["role"], message["content"]))
        if query["reference"] is not None:
            branch.add(self._said("reference", query["reference"]))
        for conflict in self._found["conflicts"]:
            branch.add(
                _text(
                    f"another reference in {conflict['source']}, line {conflict['line']}: ",
                    self._shown(conflict["reference"]),
                )
            )
        for withdrawal in self._found["withdrawals"]:
            undone = f"; undone by {withdrawal['undone_by']}" if withdrawal["undone_by"] else ""
            said = f"withdrawn by {withdrawal['decided_by']} ({withdrawal['kind']}, withdrawal {withdrawal['id']}): "
            branch.add(_text(said, withdrawal["reason"], undone))

    def _labels(self, top: Tree) -> None:
        found = self._found
        for summary in found["tag_summaries"]:
            spread = f"difficulty {summary['difficulty']:g} (spread {summary['spread']})"
            verifiable = "verifiable" if summary["verifiable"] else "not verifiable"
            branch = top.add(_text("tags: ", *_joined([spread, summary["domain"], verifiable, *_pairs(summary)])))
            for tag in found["tags"]:
                branch.add(_text(*_joined([tag["model"], f"difficulty {tag['difficulty']}", tag["domain"]])))
        for label in found["soft_labels"]:
            agreement = f"{label['confidence']:.2f} agree, {label['weighted']:.2f} by model"
            branch = top.add(_text("soft label: ", self._shown(label["reference"] or "none"), f" ({agreement})"))
            for answer in found["soft_label_answers"]:
                branch.add(_text(*_joined([answer["model"], self._shown(answer["answer"] or answer["fault"])])))
        for rate in found["pass_rates"]:
            counts = f"{rate['correct']} of {rate['k']} correct, {rate['undecided']} undecided"
            branch = top.add(_text(f"pass rate of {rate['policy']}@{rate['revision']}: ", counts))
            for rollout in found["rollouts"]:
                branch.add(_text(*_joined([rollout["mode"], _outcome(rollout), f"{rollout['tokens']:,} tokens"])))

    def _turn(self, branch: Tree, turn: int) -> None:
        for intent in self._of("intents", turn):
            branch.add(_text(f"asked for {intent['mode']} in the {intent['place']}: ", self._shown(intent["text"])))
        state = next(iter(self._of("turns", turn)), None)
        if state and state["mode"]:
            margin = f", margin {state['margin']:.2f}" if state["margin"] is not None else ""
            mode = branch.add(_text("mode ", state["mode"], f" by {state['origin']}{margin}"))
            for vote in self._of("votes", turn):
                mode.add(_text(*_joined([vote["model"], vote["mode"], self._shown(vote["reason"])])))
        accepted = state["accepted"] if state else None
        for candidate in self._of("candidates", turn):
            self._candidate(branch, candidate, accepted=candidate["position"] == accepted)
        for score in self._of("scores", turn):
            rated = f"{score['dimension']} {score['value']:g} for candidate {score['candidate'] + 1}"
            branch.add(_text("score: ", *_joined([score["rewarder"], rated, self._shown(score["reason"])])))
        if state and state["judge_analysis"]:
            branch.add(self._said("judge analysis", state["judge_analysis"]))

    def _candidate(self, branch: Tree, candidate: Row, *, accepted: bool) -> None:
        verdicts = [v for v in self._of("verdicts", candidate["turn"]) if v["position"] == candidate["position"]]
        facts = [candidate["model"], candidate["mode"], "accepted" if accepted else "", candidate["fault"] or ""]
        node = branch.add(_text(f"candidate {candidate['position'] + 1}: ", *_joined(facts)))
        for number, spoken in enumerate(candidate["rounds"], 1):
            who = f"round {number}, {spoken['role']} ({spoken['model']})"
            said = node.add(self._said(who, spoken["text"]))
            if spoken.get("passed") is not None:
                said.add(_text("passed" if spoken["passed"] else "not passed"))
            for finding in spoken.get("findings") or ():
                said.add(_text("finding: ", self._shown(finding)))
        if candidate["thinking"]:
            node.add(self._said("thinking", candidate["thinking"]))
        if candidate["answer"]:
            node.add(self._said("answer", candidate["answer"]))
        for call in candidate["tool_calls"]:
            node.add(_text("→ ", call["name"], "(", self._shown(orjson.dumps(call["arguments"]).decode()), ")"))
        for verdict in verdicts:
            evidence = orjson.dumps(verdict["evidence"]).decode() if verdict["evidence"] else ""
            told = node.add(_text("verdict of ", verdict["verifier"], ": ", _outcome(verdict)))
            if evidence:
                told.add(_text(self._shown(evidence)))

    def _calls(self, top: Tree) -> None:
        calls = self._found["calls"]
        if not calls:
            return
        tokens = sum(call["tokens"] for call in calls)
        branch = top.add(_text(f"{len(calls)} calls, {tokens:,} tokens, ", usd(self._found["usd"]), bold=True))
        turns = len({call["turn"] for call in calls}) > 1
        for (turn, stage), group in groupby(calls, key=lambda call: (call["turn"], call["stage"])):
            mine = list(group)
            place = f"turn {turn + 1}, {stage}" if turns else stage
            money = usd(sum(call["usd"] for call in mine))
            node = branch.add(_text(place, f": {len(mine)} {'call' if len(mine) == 1 else 'calls'}, ", money))
            for call in mine:
                self._call(node, call)

    def _call(self, branch: Tree, call: Row) -> None:
        tokens = f"{call['prompt_tokens'] or 0:,} + {call['completion_tokens'] or 0:,} tokens"
        revision = f"@{call['revision']}" if call["revision"] else ""
        facts = [f"{call['model']}{revision}", tokens, usd(call["usd"]), call["finish_reason"] or call["state"]]
        node = branch.add(_text(*_joined([*facts, self._paid(call), call["key"][:12]])))
        if call["lost_usd"]:
            node.add(_text("lost before that, for tries without a reply: ", usd(call["lost_usd"])))
        if call["pruned"]:
            node.add(_text(f"{call['pruned']} pruned by `kat calls prune`"))
        messages = (call["request"] or {}).get("messages") or []
        for message in messages if self._full else messages[-1:]:
            node.add(self._said(message["role"] if self._full else "asked", message["content"]))
        reply = call["reply"] or {}
        if reply.get("reasoning") and self._full:
            node.add(self._said("reasoning", reply["reasoning"]))
        if reply.get("text"):
            node.add(self._said("said", reply["text"]))

    def _paid(self, call: Row) -> str:
        if call["recorded"]:
            return "recorded"
        return "" if call["paid_by_run"] == self._found["run"] else f"paid by run {call['paid_by_run']}"

    def _decisions(self, top: Tree) -> None:
        if not self._found["decisions"]:
            return
        standing = self._found["standing_decision"]
        branch = top.add(_text("decisions", f": {standing['act']} holds" if standing else "", bold=True))
        for decision in self._found["decisions"]:
            facts = [
                f"{decision['id']} {decision['act']}",
                f"of {decision['undoes']}" if decision["undoes"] else "",
                decision["curator"],
                ", ".join(decision["reasons"]),
                self._shown(decision["note"]),
                f"{decision['decided_at']:%Y-%m-%d %H:%M}",
                "undone" if decision["undone"] else "",
            ]
            branch.add(_text(*_joined(facts)))

    def _snapshots(self, top: Tree) -> None:
        if not self._found["snapshots"]:
            return
        branch = top.add(_text("snapshots", bold=True))
        for snapshot in self._found["snapshots"]:
            aliases = ", ".join(snapshot.get("aliases") or ())
            label = f"{snapshot['name']}@{snapshot['version']}" + (f" ({aliases})" if aliases else "")
            branch.add(_text(*_joined([label, snapshot["hash"][:16], snapshot["path"]])))

    def _of(self, table: str, turn: int) -> list[Row]:
        return [row for row in self._found[table] if row["turn"] == turn]

    def _said(self, who: str, said: str) -> Text:
        return _text(who, ": ", self._shown(said))

    def _shown(self, said: str | None) -> str:
        return (said or "") if self._full else _words(said)


def _text(*parts: str, bold: bool = False) -> Text:
    return Text(printable("".join(parts)), style="bold" if bold else "")


def _words(said: str | None) -> str:
    """The first words of a text on one line, and how much more there is."""
    line = " ".join((said or "").split())
    if cell_len(line) <= _WORDS:
        return line
    first = chop_cells(line, _WORDS)[0]
    return f"{first}… (+{len(line) - len(first):,})"


def _joined(parts: Iterable[str | None]) -> Sequence[str]:
    return [" · ".join(part for part in parts if part)]


def _because(item: Row) -> Sequence[str]:
    if not item["reason"]:
        return ()
    return (f" ({item['reason']}", f": {item['detail']}" if item["detail"] else "", ")")


def _pairs(labelled: Row) -> list[str]:
    return [f"{name} {value}" for name, value in labelled["labels"].items()]


def _outcome(verdict: Row) -> str:
    outcome, status = verdict["outcome"], verdict["status"]
    return str(outcome) if outcome == status else f"{outcome} ({status})"


def _difficulty(value: float | None) -> str:
    return "" if value is None else f"difficulty {value:g}"


def _tools(message: Mapping[str, Any]) -> Sequence[str]:
    calls = message.get("tool_calls") or []
    return [f" → {call['function']['name']}({call['function']['arguments']})" for call in calls]
