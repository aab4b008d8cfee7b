"""Think-on answers of a reasoning model by rejection sampling, its native reasoning kept as thinking (§4.1.1)."""

from typing import ClassVar

from kat_data.domain.mode import Mode
from kat_data.stages.parts.sampling import RejectionSampling


class SampleOn(RejectionSampling):
    """Draw reasoned answers until one is accepted; a model without native reasoning is asked to reason."""

    name: ClassVar[str] = "sample_on"
    roles: ClassVar[tuple[str, ...]] = ("reasoner", "panel")
    mode: ClassVar[Mode] = Mode.ON
    writers: ClassVar[str] = "reasoner"
