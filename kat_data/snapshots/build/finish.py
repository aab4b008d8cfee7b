"""The last files of a snapshot: plots, the card that shows them, and the manifest that has the checksums of all."""

from dataclasses import replace
from pathlib import Path

from kat_data.hashing import sha256
from kat_data.snapshots.card.card import card
from kat_data.snapshots.card.plot import plot
from kat_data.snapshots.card.statistics_plots import statistics_plots
from kat_data.snapshots.folder import write_file
from kat_data.snapshots.manifest import CARD, MANIFEST, PLOT, Manifest


def finish(folder: Path, manifest: Manifest) -> Manifest:
    """Write what follows from a manifest, and the manifest with the checksums of it; returns that."""
    assert manifest.hashed.distribution is not None
    composition = plot(manifest, manifest.hashed.distribution)
    others = dict(statistics_plots(manifest))
    for name, image in {PLOT: composition, **others}.items():
        write_file(folder / name, [image])
    checksums = {name: sha256(image).hex() for name, image in others.items()}
    drawn = _with(manifest, plot_sha256=sha256(composition).hex(), plots=checksums)
    text = card(drawn).encode()
    write_file(folder / CARD, [text])
    sealed = _with(drawn, card_sha256=sha256(text).hex())
    write_file(folder / MANIFEST, [sealed.to_bytes()])
    return sealed


def _with(manifest: Manifest, **changes: object) -> Manifest:
    return replace(manifest, unhashed=replace(manifest.unhashed, **changes))  # type: ignore[arg-type]
