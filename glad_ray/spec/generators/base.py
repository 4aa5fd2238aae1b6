"""What is asked of the record of any image prior."""

from abc import ABC, abstractmethod
from typing import Annotated, Literal

from pydantic import AfterValidator

from glad_ray.paths import expanded
from glad_ray.spec.record import Record
from glad_ray.stylegan.settings import WORKING_BYTES

Init = Literal["noise", "real", "clustered", "correct", "sampled", "average", "gaussian"]
Precision = Literal["float32", "tf32", "bfloat16", "float16"]

GIB = 2**30


def _without_home(path: str) -> str:
    return str(expanded(path)) if path.startswith("~") else path


FilePath = Annotated[str, AfterValidator(_without_home)]
"""a path in which `~` is replaced by the home folder, so that it means the same to every user and machine"""


def images_at_once(memory_gib: float, image_bytes: float) -> int:
    """How many images' gradients a budget of memory has room for, at least one."""
    return max(1, int((memory_gib * GIB - WORKING_BYTES) / image_bytes))


class GeneratorRecord(Record, ABC):
    """A frozen description of an image prior, enough to plan with; `glad_ray.generators` builds what it describes."""

    kind: str
    resolution: int
    image_channels: int

    @property
    @abstractmethod
    def title(self) -> str:
        """What tables call it where there are several."""

    @property
    def published_as(self) -> str:
        """What published tables call a prior of its kind; empty if they know none."""
        return ""

    @property
    def licence(self) -> str:
        """What has to be said of the weights where they are loaded; empty if nothing."""
        return ""

    @property
    @abstractmethod
    def inits(self) -> tuple[Init, ...]:
        """How its latents can start, the usual way first."""

    @property
    @abstractmethod
    def spaces(self) -> tuple[str, ...]:
        """The latent spaces it has."""

    def later_spaces(self, space: str) -> tuple[str, ...]:
        """The spaces that latents of one can be handed over to within a run."""
        return ()

    @property
    @abstractmethod
    def parameter_count(self) -> int:
        """Numbers that have to be kept to decode latents."""

    @abstractmethod
    def latent_shapes(self, space: str) -> dict[str, tuple[int, ...]]:
        """Shape per image of each kind of latent, `f` and `w`; raises `UserError` for a space it does not have."""

    def step_multiply_adds(self, space: str) -> int | None:
        """Multiply-adds of a decode and a pullback of one image; None: not known before it is built."""
        return None

    def pullback_bytes(self, space: str) -> int | None:
        """Memory of a gradient to the latents of one image, beyond weights; None: not known before it is built."""
        return None

    @property
    def classes_known(self) -> int:
        """Classes it starts latents of; 0: it knows none and needs none."""
        return 0

    @property
    def missing(self) -> str | None:
        """What has to be got before it can be built, in a sentence; None: nothing."""
        return None

    @property
    def known(self) -> bool:
        """Whether its spaces and sizes are known, be it only what is expected of something missing."""
        return self.missing is None
