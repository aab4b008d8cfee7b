"""Samples rendered as rows of snapshots: when they are accepted, or before the first build that takes them."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from kat_data.domain.codec import from_python
from kat_data.domain.draft import Draft
from kat_data.domain.pair import Pair
from kat_data.domain.query import ReferenceOrigin, VerifierSpec
from kat_data.domain.sample import Sample
from kat_data.errors import TemplateError
from kat_data.registry import rendered
from kat_data.registry.facts import Render
from kat_data.registry.session import Registry
from kat_data.snapshots.record import Grading, TrainingStage, render

_BATCH: Final = 500


def renderer(draft: Draft, stage: TrainingStage) -> Render:
    """Return what renders the samples of an accepted draft; what the template refuses is left to the build to say."""
    query = draft.query
    grading = Grading(
        verifier=query.verifier,
        reference=query.reference,
        reference_origin=query.reference_origin,
        pass_rate=draft.pass_rate.rate if draft.pass_rate else None,
    )

    def rendered_text(sample: Sample | Pair) -> tuple[str, str] | None:
        try:
            return stage.value, render(sample, stage, grading)
        except TemplateError:
            return None

    return rendered_text


def render_stored(
    registry: Registry, ids: Sequence[int], stage: TrainingStage, on_rows: Callable[[int], None] = lambda rows: None
) -> None:
    """Render samples of the registry and store their texts, batch by batch; raises `TemplateError`."""
    for first in range(0, len(ids), _BATCH):
        with registry.engine.begin() as connection:
            rows = rendered.load_samples(connection, [int(ident) for ident in ids[first : first + _BATCH]])
            texts = {row["id"]: _rendered(row, stage) for row in rows}
            rendered.store_texts(connection, stage.value, texts)
        on_rows(len(texts))


def _rendered(row: dict[str, Any], stage: TrainingStage) -> str:
    try:
        return render(_sample(row["sample"]), stage, _grading(row))
    except TemplateError as error:
        way_out = f"`kat lineage {row['id']}` shows it, `kat queries withdraw` leaves its query out"
        raise TemplateError(f"sample {row['id']} cannot be a row of {stage}: {error}; {way_out}") from error


def _grading(row: dict[str, Any]) -> Grading:
    return Grading(
        verifier=from_python(VerifierSpec, row["verifier"]) if row["verifier"] else None,
        reference=row["reference"],
        reference_origin=ReferenceOrigin(row["reference_origin"]),
        pass_rate=row["pass_rate"],
    )


def _sample(stored: dict[str, Any]) -> Sample | Pair:
    return from_python(Sample, stored) if "turns" in stored else from_python(Pair, stored)
