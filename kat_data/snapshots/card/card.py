"""The snapshot's card: a Hugging Face dataset card that is a function of the manifest alone."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kat_data.domain.category import Category
from kat_data.domain.mode import Mode, Transition
from kat_data.snapshots.card.front_matter import front_matter
from kat_data.snapshots.card.markdown import inert, picture, section, table
from kat_data.snapshots.card.statistics_plots import SHOWN
from kat_data.snapshots.composition import BANDS, Cell, totals
from kat_data.snapshots.manifest import PLOT, Hashed, Manifest, Unhashed
from kat_data.snapshots.mixture import COLUMNS, compare, lines
from kat_data.snapshots.record import TrainingStage
from kat_data.snapshots.survey.statistics import sections
from kat_data.snapshots.verify.invariants import FIRST_WITH_VERDICTS

_MOST = 40
"""Domains, sources and licences that are shown, the largest first."""
_PURPOSE = {
    TrainingStage.STAGE1: "Distillation with an external trigger: the last user message ends with `<think_on>` or "
    "`<think_off>`, and the completion follows it.",
    TrainingStage.STAGE2: "Cold start of a model that decides by itself: every assistant turn first judges whether "
    "thinking is needed, then thinks or answers at once.",
    TrainingStage.STAGE3: "Reinforcement learning: prompts with a verifier and a measured pass rate, without answers.",
}
_COLUMNS = {
    TrainingStage.STAGE1: "`prompt` and `completion` (messages)",
    TrainingStage.STAGE2: "`messages` (every assistant turn as training text) and `turns` (the same, structured)",
    TrainingStage.STAGE3: "`prompt` (messages), `verifier` (kind, reference, options as JSON) and `pass_rate`",
}


def card(manifest: Manifest) -> str:
    """Return the README's text: YAML front matter, then what the snapshot holds, how it was made and how to load it."""
    hashed, unhashed = manifest.hashed, manifest.unhashed
    sections = [
        f"---\n{front_matter(manifest)}---\n",
        f"# {manifest.label}\n\n{_PURPOSE[hashed.stage]} {hashed.rows} rows.\n",
        section("Composition", _composition(hashed.composition), _image(manifest)),
        section("Mixture: target and reached", _mixture(manifest)),
        section("Transitions between modes, from turn to turn", _transitions(hashed.transitions or {})),
        section("Domains", _shares(totals(hashed.composition, "domain"), "domain", hashed.rows)),
        *_statistics(manifest),
        section("Funnel", table(unhashed.funnel)),
        section("Models", table([{"role": r, "models": ", ".join(m)} for r, m in sorted(hashed.models.items())])),
        section("Verifiers, measured on labelled cases", table(_measured(manifest))),
        section("Decontamination, measured on constructed cases", _decontamination(unhashed)),
        section("Money spent", table([{"item": name, "value": value} for name, value in unhashed.money.items()])),
        section("Sources", _shares(hashed.sources, "source", hashed.rows)),
        section("Licences", _shares(hashed.licences, "licence", hashed.rows)),
        section("Use", _use(hashed)),
        section("Integrity", _integrity(hashed)),
        section("Notes", unhashed.notes),
    ]
    return "\n".join(section for section in sections if section)


def _composition(cells: Sequence[Cell]) -> str:
    """Rows by category, with a column for each mode and band of difficulty that occurs, and their sums."""
    counts = totals(cells, "category", "mode", "band")
    modes = [*(mode.value for mode in Mode), ""]  # query–verifier pairs have no mode
    columns = [(mode, b) for mode in modes for b in BANDS if any(key[1:] == (mode, b) for key in counts)]
    rows = [(c.value,) for c in Category if any(key[0] == c.value for key in counts)]
    lines = [_composition_line(category, columns, counts) for (category,) in rows]
    total = {"category": "all"} | {name: sum(line[name] for line in lines) for name in list(lines[0])[1:]}
    return table([*lines, total])


def _image(manifest: Manifest) -> str:
    shown = "Rows by category and mode, their difficulty, and the mixture's targets"
    return picture(PLOT, shown) if manifest.unhashed.plot_sha256 else ""


def _statistics(manifest: Manifest) -> Iterator[str]:
    """Yield a section for each table of statistics, with the plot that belongs to it."""
    if (statistics := manifest.unhashed.statistics) is None:
        return
    for found in sections(statistics, manifest.hashed.duplicates):
        drawn = found.plot is not None and found.plot in manifest.unhashed.plots
        shown = picture(found.plot, SHOWN[found.plot]) if found.plot and drawn else ""
        yield section(found.title, table(found.lines), inert(found.note), shown)


def _mixture(manifest: Manifest) -> str:
    hashed, surplus = manifest.hashed, manifest.unhashed.surplus
    if hashed.distribution is None or not hashed.distribution.strata:
        return ""
    reached = lines(compare(hashed.distribution, hashed.rows))
    left_out = f"\n\n{surplus} accepted samples beyond the targets are not in it." if surplus else ""
    return table([dict(zip(COLUMNS, line, strict=True)) for line in reached]) + left_out


def _composition_line(
    category: str, columns: Sequence[tuple[str, str]], counts: Mapping[tuple[str, ...], int]
) -> dict[str, Any]:
    cells = {f"{mode}, {band}" if mode else band: counts.get((category, mode, band), 0) for mode, band in columns}
    return {"category": category, **cells, "rows": sum(cells.values())}


def _measured(manifest: Manifest) -> list[dict[str, Any]]:
    """Each verifier with its error rate; the first manifests had the rate beside the name."""
    rates = {rate["verifier"]: rate for rate in manifest.unhashed.error_rates}
    unknown = {"cases": "not measured here"}
    return [
        {"verifier": v["verifier"], **unknown, **v, **rates.get(v["verifier"], {})} for v in manifest.hashed.verifiers
    ]


def _decontamination(unhashed: Unhashed) -> str:
    return table([unhashed.decontamination]) if unhashed.decontamination else ""


def _transitions(counts: Mapping[str, Mapping[str, int]]) -> str:
    return table(
        [{"category": name, **{t.value: found.get(t, 0) for t in Transition}} for name, found in counts.items()]
    )


def _shares(counts: Mapping[Any, int], label: str, rows: int) -> str:
    names = {key[0] if isinstance(key, tuple) else key: count for key, count in counts.items()}
    ordered = sorted(names.items(), key=lambda item: (-item[1], item[0]))
    shown = [{label: name or "(none)", "rows": n, "share": f"{n / rows:.1%}"} for name, n in ordered[:_MOST]]
    more = f"\n\n{len(ordered) - _MOST} more are in `manifest.json`." if len(ordered) > _MOST else ""
    return table(shown) + more


def _use(hashed: Hashed) -> str:
    verdict = ", `verdict`" if hashed.schema_version >= FIRST_WITH_VERDICTS else ""
    return (
        "Meant for training and studying language models that choose between thinking and answering at once. "
        "The answers were written by models: trust them as far as the verifiers above, and mind the sources' "
        "licences.\n\n"
        "```python\nfrom datasets import load_dataset\n\n"
        'rows = load_dataset("PATH_OF_THIS_FOLDER")\n```\n\n'
        f"Columns: {_COLUMNS[hashed.stage]}, beside `id`, `query`, `category`, `domain`, `difficulty`, `mode`, "
        f"`source`, `licence`, `lineage`{verdict} and `tools` (JSON)."
    )


def _integrity(hashed: Hashed) -> str:
    return (
        f"Content hash `{hashed.content_hash}`, seed {hashed.seed}, schema version {hashed.schema_version}, "
        f"written by kat-data {hashed.code_version} with pyarrow {hashed.writer['pyarrow']}. `manifest.json` holds the "
        "resolved recipe and the sha256 of every shard; `kat snapshots verify` recomputes all of it."
    )
