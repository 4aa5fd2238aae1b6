"""What happens in a sweep, as both engines tell it to a view.

An event may come twice, when a lost unit of work is done again: who counts, counts a set.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from glad_ray.progress.replica_stats import ReplicaStats
from glad_ray.results import Failure, Progress, RefusedDraw, Training
from glad_ray.results.generator_card import GeneratorScores
from glad_ray.spec import ExpertSet, Network, Run
from glad_ray.spec.generator_training import Stage


@dataclass(frozen=True)
class ClusterJoined:
    """Work goes to a Ray cluster that others started."""

    address: str
    machines: int
    cpus: float
    gpus: float


@dataclass(frozen=True)
class PointReached:
    """The start of work has come to a point."""

    point: Literal["checks", "Ray connected", "first process", "images"]


@dataclass(frozen=True)
class Waiting:
    """A process that Ray is to start has not come for some seconds."""

    what: str
    seconds: float
    """so far"""
    at_most_seconds: float
    why: str
    """where it is told, and the usual reasons"""


@dataclass(frozen=True)
class Begun:
    """What lies on storage already."""

    finished: tuple[Run, ...]
    distilled: tuple[Run, ...]
    """and not finished"""
    trainings: tuple[tuple[Run, str, Training], ...]
    """of runs that are not finished, with the evaluation's id"""
    looks: tuple["LookTaken", ...]
    """at those runs"""
    experts: Mapping[str, int]
    """how many of each set, by the set's id"""


@dataclass(frozen=True)
class ImagesPrepared:
    """Some more real images were decoded and resized."""

    data: str
    """which ones, for people"""
    done: int
    total: int


@dataclass(frozen=True)
class ShareTaken:
    """A unit of work has begun to compute."""

    unit: tuple[str, ...]
    gpus: float


@dataclass(frozen=True)
class ShareGivenBack:
    """A unit of work has ended; of one that is lost, nothing comes."""

    unit: tuple[str, ...]
    gpus: float
    seconds: float


@dataclass(frozen=True)
class SharePacked:
    """What a kind of work takes of a GPU was measured, or could not be."""

    what: str
    bytes: int | None
    at_once: int
    """units of work on a GPU"""
    unmeasured: str = ""
    """why not"""


@dataclass(frozen=True)
class Ending:
    """A budget is spent: nothing new is started."""

    budget: str
    """which one, in words"""


@dataclass(frozen=True)
class ExpertEpoch:
    """An expert was trained for another epoch; the last one ends it."""

    expert_set: ExpertSet
    expert: int
    epoch: int


@dataclass(frozen=True)
class RunProgressed:
    """A run has made some steps."""

    run: Run
    progress: Progress
    losses: tuple[float, ...] = ()
    """of the steps since the last such event of the same process, up to the one of `progress`; none: of that one
    alone"""


@dataclass(frozen=True)
class RunDistilled:
    """A run has its synthetic set."""

    run: Run


@dataclass(frozen=True)
class TrainingDone:
    """One network was trained on a run's synthetic set and tested."""

    run: Run
    evaluation_id: str
    training: Training


@dataclass(frozen=True)
class LookTaken:
    """One network was trained on a set of a run, and tested on held-out training images alone."""

    run: Run
    evaluation_id: str
    """of the looks, not of what is evaluated in full"""
    network: Network
    step: int
    repeat: int
    seconds: float


@dataclass(frozen=True)
class SetTrained:
    """One network was trained on a set that is scored by itself, and tested."""

    network: Network
    training: Training
    earlier: bool = False
    """by an earlier command, which kept it"""


@dataclass(frozen=True)
class NetworkFailed:
    """A network failed on a set that is scored by itself; the others go on."""

    network: Network
    error: str
    """one line"""


@dataclass(frozen=True)
class GeneratorAdvanced:
    """The training of a generator has made another step of a stage."""

    stage: Stage
    step: int
    steps: int
    seconds: float
    """that the steps of the stage took, over all commands"""
    losses: Mapping[str, float]


@dataclass(frozen=True)
class GeneratorScored:
    """Images of one source were scored."""

    scores: GeneratorScores


@dataclass(frozen=True)
class RunFinished:
    """A run has its results."""

    run: Run


@dataclass(frozen=True)
class RunFailed:
    """A run failed; the others go on."""

    run: Run
    failure: Failure


@dataclass(frozen=True)
class TrialsFound:
    """What a search goes on with."""

    ended: int
    running: int
    most: int
    """trials that it begins in all"""
    refused: int = 0
    """draws of which no run can be made"""


Outcome = Literal["goes on", "stopped", "complete", "in full"]
"""of an evaluation; in full: the trial's last"""


@dataclass(frozen=True)
class TrialSeen:
    """A run of a search was evaluated, at a rung or in full."""

    trial: int
    drawn: str
    """what was drawn for it, for people"""
    run: Run
    step: int
    accuracy: float
    """on held-out training images, in [0, 1]"""
    outcome: Outcome


@dataclass(frozen=True)
class TrialFailed:
    """A run of a search failed by a fault of its own; the others go on."""

    trial: int
    drawn: str
    run: Run
    step: int
    """to which it was to be distilled"""
    error: str


@dataclass(frozen=True)
class DrawRefused:
    """No run can be made of what a search drew: no trial began, and another is drawn in its place."""

    draw: RefusedDraw


@dataclass(frozen=True)
class DrawsEnded:
    """A search begins fewer trials than were asked for: too many draws in a row came to nothing new."""

    begun: int
    asked: int


@dataclass(frozen=True)
class Retried:
    """A unit of work was lost with the process or machine it ran on, and is done again."""

    what: str
    error: str


@dataclass(frozen=True)
class TrackerFailed:
    """A tracker does not take what it is sent; the sweep goes on without it, and what is missing is sent later."""

    tracker: str
    """which one, with its place"""
    why: str


@dataclass(frozen=True)
class ReplicaHealth:
    """How the generator replicas are that are loaded and have answered within some seconds."""

    stats: tuple[ReplicaStats, ...]


Event = (
    ClusterJoined
    | PointReached
    | Waiting
    | Begun
    | ImagesPrepared
    | ExpertEpoch
    | RunProgressed
    | RunDistilled
    | TrainingDone
    | LookTaken
    | SetTrained
    | NetworkFailed
    | GeneratorAdvanced
    | GeneratorScored
    | RunFinished
    | RunFailed
    | TrialsFound
    | TrialSeen
    | TrialFailed
    | DrawRefused
    | DrawsEnded
    | Retried
    | ShareTaken
    | ShareGivenBack
    | SharePacked
    | Ending
    | TrackerFailed
    | ReplicaHealth
)
