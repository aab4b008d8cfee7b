"""Every stage by the name that recipes use, in the order of the pipeline."""

from kat_data.stages.add_intent import AddIntent
from kat_data.stages.cluster import ClusterQueries
from kat_data.stages.decontaminate import Decontaminate
from kat_data.stages.deduplicate import Deduplicate
from kat_data.stages.judge_mode import JudgeMode
from kat_data.stages.measure_mode import MeasureMode
from kat_data.stages.normalise import Normalise
from kat_data.stages.observe import Observe
from kat_data.stages.pair import MakePair
from kat_data.stages.pass_rate import MeasurePassRate
from kat_data.stages.prefer import Prefer
from kat_data.stages.reason_on import ReasonOn
from kat_data.stages.route_mode import RouteMode
from kat_data.stages.sample_off import SampleOff
from kat_data.stages.sample_on import SampleOn
from kat_data.stages.select import Select
from kat_data.stages.soft_label import LabelSoftly
from kat_data.stages.stage import Stage
from kat_data.stages.tag import TagQuery
from kat_data.stages.verify import VerifyGate
from kat_data.stages.vote_mode import VoteMode

STAGES: dict[str, type[Stage]] = {
    stage.name: stage
    for stage in (
        Normalise,
        Deduplicate,
        Decontaminate,
        ClusterQueries,
        TagQuery,
        LabelSoftly,
        AddIntent,
        VoteMode,
        RouteMode,
        MeasureMode,
        Select,
        SampleOff,
        ReasonOn,
        SampleOn,
        VerifyGate,
        Prefer,
        JudgeMode,
        Observe,
        MeasurePassRate,
        MakePair,
    )
}
