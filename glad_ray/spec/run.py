"""One distillation, completely described; its id is the hash of what decides its result."""

import math
import re
from collections.abc import Collection
from itertools import pairwise
from typing import Any, Self

from pydantic import Field, field_validator, model_validator

from glad_ray.errors import UserError
from glad_ray.spec.algorithms import Algorithm, Matching
from glad_ray.spec.datasets import DATASETS, DatasetFacts, dataset_facts
from glad_ray.spec.experts import Experts, ExpertSet, check_judges, expert_network
from glad_ray.spec.generators import AnyGenerator, GeneratorRecord, Init, StyleGANRecord
from glad_ray.spec.images.augmentation import DSA, Augmentation
from glad_ray.spec.images.formation import Formation, FormationByFactor
from glad_ray.spec.images.whitening import Whitening, check_whitening
from glad_ray.spec.layers import LayerSchedule, last_iterations, space_named, spaces_of
from glad_ray.spec.network import BackboneByName, Network
from glad_ray.spec.precision import FP32Precision
from glad_ray.spec.profiles import Profile, apply_profile
from glad_ray.spec.record import Stored

_FEATURE_SPACE = re.compile(r"f\d+")
_STYLEGAN_SPACE = re.compile(r"w\+|f\d+")
_PIXEL_INITS: tuple[Init, ...] = ("real", "noise")
_IMAGENET_CLASSES = 1000


class Run(Stored):
    """One distillation: dataset, algorithm, space, generator, images per class, seed and hyper-parameters."""

    dataset: str = "fashion-mnist-sample"
    """name of the dataset"""
    own_dataset: DatasetFacts | None = None
    """what is known of a user's own dataset, `folder:PATH` or `hf:PATH`; filled in from there, so that a kept
    record is read without it"""
    resolution: int | None = None
    """side of the images in pixels; None: the generator's, or the dataset's own in pixel space"""
    antialias: bool = True
    """smooth real images as they are made smaller, as Pillow does and torchvision since 0.17; False: as before that"""
    whitening: Whitening = "none"
    """how images are whitened before networks see them: none (they are normalised per channel), or zca as in the code
    of MTT, up to 3 x 64 x 64"""
    algorithm: Algorithm
    """what distils, with its hyper-parameters: DC, DM, MTT, FTD, DATM, IDC, DREAM, NCFM or one of your own; or a
    baseline: RandomReal, Herding, KMeans, KCenter, EL2N, RDED, WholeDataset"""
    space: str = "pixel"
    """what is optimised: pixel, or a latent space of the generator: of StyleGAN w+ or f<n> (input of synthesis layer n
    and the style codes from n on); or several of these one after another, f0>f4>f8, all from f0 to f8 as f0>..>f8"""
    schedule: LayerSchedule = LayerSchedule()
    """how a run goes through the layers of a space of several"""
    generator: AnyGenerator | None = None
    """the image prior; None in pixel space"""
    generator_classes: tuple[int, ...] = ()
    """the generator's class for each class of the dataset, in order; empty: ImageNet's own where both are ImageNet's,
    else of the same number"""
    learn_generator: bool = False
    """optimise the weights of StyleGAN's layers with the latents, from f<n> on or all; the run holds its own copy"""
    images_per_class: int = Field(default=1, ge=1)
    """synthetic images per class (ipc)"""
    formation: FormationByFactor = Formation()
    """a factor F, by default that of the algorithm (mostly 1): each synthetic image holds F x F training images, which
    are cut out and made as large as it; or a `Formation`"""
    seed: int = Field(default=0, ge=0)
    """from which, with all else, the run's id and its draws follow"""
    init: Init | None = None
    """pixel space: real (default) or noise; StyleGAN: sampled (a code per image, default), average (the class's mean
    code) or gaussian (F drawn with the sampled one's mean and deviation); autoencoder: real (encoded images, default)
    or gaussian (F drawn with their mean and deviation). In place of real, clustered: the real images nearest to the
    centres of clusters of their class, as DREAM starts; or correct: real images that the run's experts classify
    correctly, as many as there are, as DATM starts"""
    backbone: BackboneByName = Network()
    """the network that distils"""
    augmentation: Augmentation = DSA
    """operations that real and synthetic images go through, by default those of the algorithm: of DSA, one of those
    with _ between them; `sequential:color_crop_cutout`: several in order, as IDC and NCFM do it; empty: none"""
    held_out: int = Field(default=0, ge=0)
    """training images per class kept from distillation, for choosing a step without the test set"""
    snapshots: int = Field(default=1, ge=1)
    """evenly spaced steps whose synthetic sets are kept and evaluated, the last step included"""
    checkpoint_every: int = Field(default=100, ge=1)
    """steps between checkpoints; no part of the run's identity"""
    precision: FP32Precision = "float32"
    """in which GPUs multiply while the run is distilled: float32, or tf32, which is faster and changes the gradients of
    images by some per cent; a generator has a precision of its own"""
    profile: Profile = "paper"
    """whose settings are meant where a field is not set: the paper's, or those of its released code (see `plan
    --explain`)"""

    @field_validator("space")
    @classmethod
    def _one_name(cls, space: str) -> str:
        return space_named(space)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.own_dataset is None or self.own_dataset.name != self.dataset:
            facts = dataset_facts(self.dataset)
            self._fill_in("own_dataset", None if self.dataset in DATASETS else facts)
        # Implied fields are made explicit, so that what is hashed is what runs.
        apply_profile(self)
        if "formation" not in self.model_fields_set:
            self._fill_in("formation", Formation(factor=self.algorithm.usual_formation))
        if "augmentation" not in self.model_fields_set:
            self._fill_in("augmentation", self.algorithm.usual_augmentation)
        if self.space == "pixel":
            self._check_pixels()
        else:
            self._check_latents()
        if self.init is None:
            usual = self.inits[0]
            self._fill_in("init", self.algorithm.start_from_real if usual == "real" else usual)
        if self.resolution is None:
            self._fill_in("resolution", self.generator.resolution if self.generator else self.facts.resolution)
        check_whitening(self.whitening, self.facts.channels, self.pixels)
        self._check_formation()
        if not self.distils and (self.space != "pixel" or self.init != "real"):
            raise UserError(f"Baseline {self.algorithm.name} is real images: use space='pixel' and init='real' with it")
        if self.algorithm.whole_dataset and self.images_per_class != 1:
            raise UserError("The whole dataset has no images_per_class to set: leave it out with WholeDataset()")
        if self.init == "correct" and self.expert_set is None:
            raise UserError(
                f"Init correct asks the run's experts about images, and {self.algorithm.name} has none: use real."
            )
        if self.expert_set is not None and (self.soft_labels or not self.distils or self.init == "correct"):
            check_judges(self.expert_set)
        return self

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        # A dataset of one's own is known by its name.
        known = {"own_dataset"} if identity else set()
        unsaid = self._at_default("antialias", "whitening", "own_dataset", "precision", "formation", "schedule")
        if identity and len(self.spaces) == 1:
            unsaid.add("schedule")
        return unsaid | known | set(super()._unsaid(identity=identity))

    def _decisive(self, content: dict[str, Any]) -> dict[str, Any]:
        decisive = content | {"checkpoint_every": Run.model_fields["checkpoint_every"].default}
        if self.init == "correct" and (experts := self.algorithm.experts_needed):
            # The last epoch of the experts decides which images those are; else it may decide nothing.
            decisive["init"] = f"correct after {experts.epochs} epochs"
        return decisive

    def _fill_in(self, field: str, value: Any) -> None:
        """Of a field that is left open, be it by None: a changed copy implies it anew."""
        object.__setattr__(self, field, value)
        self.__pydantic_fields_set__.discard(field)

    def _check_formation(self) -> None:
        """Raise `UserError` where stored images cannot be cut into training images."""
        factor = self.formation.factor
        if factor == 1:
            return
        if not self.distils:
            raise UserError(f"Baseline {self.algorithm.name} is real images as they are: leave formation out.")
        if self.whitening != "none":
            raise UserError("Pieces of whitened images are not whitened: use formation=1, or whitening='none'.")
        if factor > self.pixels:
            raise UserError(f"Formation {factor} cuts images of {self.pixels} pixels smaller than a pixel: use less.")
        if self.formation.kind == "bound" and self.formation.bound < self.images_per_class:
            raise UserError(
                f"formation.bound is {self.formation.bound} and there are {self.images_per_class} images per class, of "
                "which each gives one training image at least: set it to as many or more."
            )

    def _check_pixels(self) -> None:
        if self.generator is not None:
            raise UserError("Pixel space takes no generator: leave generator out, or name a space of it")
        if self.learn_generator or self.generator_classes:
            raise UserError("Pixel space has no generator: leave learn_generator and generator_classes out")
        if self.init not in (None, "correct", *self.inits):
            *others, last = self.inits
            raise UserError(f"Init {self.init!r} is for latents: in pixel space use {', '.join(others)} or {last}")

    def _check_latents(self) -> None:
        generator, facts = self.generator, self.facts
        if "pixel" in self.spaces:
            raise UserError(f"Space {self.space} names pixel, which is no layer of a generator: leave it out")
        if generator is None and not all(map(_STYLEGAN_SPACE.fullmatch, self.spaces)):
            raise UserError(f"Unknown space {self.space!r}: use pixel, or with a generator w+ or f<n>, for example f4")
        if generator is None:
            raise UserError(
                f"Space {self.space} needs a generator: set generator=RandomStyleGAN(...), or a trained one's file"
            )
        if self.learn_generator and not isinstance(generator, StyleGANRecord):
            raise UserError(f"The weights of a {generator.kind} cannot be learned: leave learn_generator out")
        if not generator.known:
            if self.resolution is None:
                raise UserError(f"{generator.missing} Until then its resolution is not known: set the run's.")
            return
        _ = self.last_steps
        for space in self.spaces:
            if space not in generator.spaces:
                raise UserError(f"The generator has no layer {space}: it has {', '.join(('pixel', *generator.spaces))}")
        self._check_hand_overs(generator)
        if self.init not in (None, *self.inits) and not (self.init == "correct" and "real" in generator.inits):
            raise UserError(f"Init {self.init!r} is not one of {self.space}: use {', '.join(self.inits)}")
        if self.init == "gaussian" and "f" not in generator.latent_shapes(self.spaces[0]):
            raise UserError(f"Init gaussian draws a feature map, which {self.spaces[0]} has not: use another.")
        if generator.image_channels != facts.channels:
            raise UserError(
                f"The generator makes {generator.image_channels}-channel images and {self.dataset} has "
                f"{facts.channels}: use one of {facts.channels}-channel images, for example "
                f"RandomStyleGAN(image_channels={facts.channels})"
            )
        if self.resolution not in (None, generator.resolution):
            raise UserError(f"Resolution {self.resolution} is not the generator's: set both to {generator.resolution}")
        if not self.generator_classes and generator.classes_known == _IMAGENET_CLASSES and facts.imagenet_indices:
            self._fill_in("generator_classes", facts.imagenet_indices)
        self._check_classes(generator.classes_known, facts.classes)

    def _check_hand_overs(self, generator: GeneratorRecord) -> None:
        """Raise `UserError` unless the generator can hand latents over from each layer to the next."""
        for space, later in pairwise(self.spaces):
            possible = generator.later_spaces(space)
            if later not in possible:
                instead = f"name one of {', '.join(possible)} after it" if possible else f"{space} has to be the last"
                raise UserError(f"Latents of {space} cannot be handed over to {later}: {instead}")

    def _check_classes(self, known: int, needed: int) -> None:
        """Raise `UserError` unless the generator has a class for each of the dataset's."""
        named = self.generator_classes
        if named and len(named) != needed:
            raise UserError(
                f"generator_classes names {len(named)} classes and {self.dataset} has {needed}: name one of the "
                "generator's for each, or none."
            )
        if named and not known:
            raise UserError("The generator knows no classes: leave generator_classes out.")
        if named and not 0 <= min(named) <= max(named) < known:
            raise UserError(f"generator_classes must be from 0 to {known - 1}, the generator's classes.")
        if not named and 0 < known < needed:
            raise UserError(f"The generator knows {known} classes and {self.dataset} has {needed}: use another.")

    @property
    def facts(self) -> DatasetFacts:
        """What is known of its dataset."""
        return self.own_dataset or dataset_facts(self.dataset)

    @property
    def run_id(self) -> str:
        """Twelve hexadecimal digits made of all that decides the result; all draws follow from them."""
        return self.stored_id

    @property
    def distils(self) -> bool:
        """False for the baselines, which are real images."""
        return self.algorithm.distils

    @property
    def soft_labels(self) -> bool:
        """Whether the synthetic set has soft labels of its own."""
        return self.algorithm.soft_labels

    @property
    def ipc(self) -> int | None:
        """Images per class; None of the whole dataset, which has as many as it has."""
        return None if self.algorithm.whole_dataset else self.images_per_class

    @property
    def inits(self) -> tuple[Init, ...]:
        """How its latents can start, the usual way first."""
        own = _PIXEL_INITS if self.generator is None else self.generator.inits
        return (*own, *self.real_inits[1:]) if "real" in own else own

    @property
    def training_images_per_class(self) -> int:
        """Images per class that networks are trained on: as many as the images of a class hold (`formation`)."""
        return self.formation.images(self.images_per_class)

    @property
    def set_bytes(self) -> int:
        """What is kept of the synthetic set without its hard labels: float32 latents and soft labels; real images as
        8-bit pixels.
        """
        facts = self.facts
        image = facts.channels * self.pixels**2
        if self.algorithm.whole_dataset:
            return (facts.train_images - facts.classes * self.held_out) * image
        images = facts.classes * self.images_per_class
        if not self.distils:
            return images * image
        latents = {"pixels": (image,)} if self.generator is None else self.generator.latent_shapes(self.spaces[-1])
        numbers = sum(math.prod(shape) for shape in latents.values())
        soft = facts.classes**2 * self.training_images_per_class if self.soft_labels else 0
        return 4 * (images * numbers + soft + self.learned_weights)

    @property
    def generator_bytes(self) -> int:
        """What is kept of the generator: its parameters as float32, even of one that a seed could make again; none of
        one whose weights are learned, for the set has those that it needs.
        """
        return 0 if self.generator is None or self.learn_generator else 4 * self.generator.parameter_count

    @property
    def learned_weights(self) -> int:
        """Numbers of the generator that are learned with the latents."""
        if not (self.learn_generator and isinstance(self.generator, StyleGANRecord)):
            return 0
        return self.generator.synthesis_settings.parameters_from(self.spaces[-1])

    @property
    def steps(self) -> int:
        """Steps made on the latents."""
        return self.algorithm.steps(self.images_per_class, self.facts.classes)

    @property
    def spaces(self) -> tuple[str, ...]:
        """The spaces that it is distilled in, one after another; most often one. The last is that of its latents."""
        return spaces_of(self.space)

    @property
    def last_steps(self) -> tuple[int, ...]:
        """The number of steps after which each of its spaces is left; raises `UserError` if one gets no step."""
        layers, algorithm = len(self.spaces), self.algorithm
        if layers == 1 or not isinstance(algorithm, Matching):
            return (self.steps,)
        # Iterations are whole: the steps of one see the same network, or one class after another.
        together = self.steps // algorithm.iterations
        return tuple(together * last for last in last_iterations(algorithm.iterations, layers, self.schedule.shares))

    @property
    def snapshot_steps(self) -> tuple[int, ...]:
        """The steps whose synthetic sets are kept, ascending; the last is the last step."""
        steps = {round(self.steps * (i + 1) / self.snapshots) for i in range(self.snapshots)}
        return tuple(sorted(steps))

    @property
    def pixels(self) -> int:
        """Side of the images in pixels."""
        assert self.resolution is not None, "filled in by the validator"
        return self.resolution

    @property
    def expert_set(self) -> ExpertSet | None:
        """The networks trained on real data that this run needs, to match their trajectories or for their features."""
        experts = self.algorithm.experts_needed
        return None if experts is None else self.experts_of(experts)

    def experts_of(self, experts: Experts) -> ExpertSet:
        """Backbones trained as `experts` says, on the images this run may see."""
        return ExpertSet(
            dataset=self.dataset,
            resolution=self.pixels,
            antialias=self.antialias,
            whitening=self.whitening,
            held_out=self.held_out,
            network=expert_network(self.backbone, experts),
            experts=experts,
            held_as=self.held_as,
        )

    @property
    def real_inits(self) -> tuple[Init, ...]:
        """The ways to start from real images, in spaces that can."""
        asked: tuple[Init, ...] = () if self.algorithm.experts_needed is None else ("correct",)
        return ("real", "clustered", *asked)

    @property
    def latent_kinds(self) -> tuple[str, ...]:
        """What is optimised, each with a learning rate: pixels, or f, w and both; and g, a generator's weights."""
        generator = self.generator
        shapes = () if generator is None else tuple(generator.latent_shapes(space) for space in self.spaces)
        kinds = tuple(dict.fromkeys(kind for of_space in shapes for kind in of_space)) or ("pixels",)
        return (*kinds, "g") if self.learn_generator else kinds

    @property
    def layer(self) -> int | None:
        """Number n of an `f<n>` space, of several the last; else None."""
        last = self.spaces[-1]
        return int(last[1:]) if _FEATURE_SPACE.fullmatch(last) else None

    @property
    def generator_name(self) -> str:
        """The generator for tables: its kind and id, or `none`."""
        return "none" if self.generator is None else f"{self.generator.kind}-{self.generator.content_id}"

    @property
    def label(self) -> str:
        """One line for people: `dm f4 fashion-mnist-sample ipc 1 seed 0`."""
        white = "" if self.whitening == "none" else " whitened"
        if self.ipc is None:
            return f"{self.algorithm.name} {self.dataset} seed {self.seed}{white}"
        plain = "" if self.augmentation else " without augmentation"
        learned = " learning the generator" if self.learn_generator else ""
        formed = "" if self.formation.factor == 1 else f" formation {self.formation.factor}"
        what = f"{self.algorithm.name} {self.space} {self.dataset} ipc {self.ipc}{formed} seed {self.seed}"
        return f"{what}{plain}{learned}{white}"
