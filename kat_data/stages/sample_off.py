"""Think-off answers by rejection sampling (§3.2)."""

from typing import ClassVar

from kat_data.domain.mode import Mode
from kat_data.stages.parts.sampling import RejectionSampling


class SampleOff(RejectionSampling):
    """Draw short answers of the responders until one is accepted."""

    name: ClassVar[str] = "sample_off"
    roles: ClassVar[tuple[str, ...]] = ("responder", "panel")
    mode: ClassVar[Mode] = Mode.OFF
    writers: ClassVar[str] = "responder"
