"""How a generator is trained on a dataset (`glad_ray.generator_training`): the record, and the order of the stages."""

from collections.abc import Collection
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from glad_ray.errors import UserError
from glad_ray.spec.datasets import dataset_facts
from glad_ray.spec.experts import Count, Positive
from glad_ray.spec.images.augmentation import DSA, Augmentation
from glad_ray.spec.network import Network, NetworkByName
from glad_ray.spec.record import Record, Stored
from glad_ray.stylegan.schedule import compact
from glad_ray.stylegan.settings import MappingSettings, SynthesisSettings

Stage = Literal["features", "scorer", "autoencoder", "adversarial"]
STAGES: tuple[Stage, ...] = ("features", "scorer", "autoencoder", "adversarial")
"""in the order in which they are trained"""

Weight = Annotated[float, Field(ge=0)]


class GeneratorShape(Record):
    """The sizes of a compact generator (`glad_ray.stylegan.schedule.compact`)."""

    z_dim: Count = 64
    """length of the normal draw"""
    w_dim: Count = 64
    """length of a style code"""
    channel_base: Count = 1024
    """a layer with maps of side s has min(channel_base / s, channel_max) channels"""
    channel_max: Count = 128
    hidden_layers: int = Field(default=2, ge=1, le=8)
    """of the mapping network"""


class GeneratorTraining(Stored):
    """A class-conditional generator and how it is trained: four stages, each of which goes on from those before it.

    `features`: a classifier of real images, whose maps serve the losses. `scorer`: another one, which only scores.
    `autoencoder`: generator and encoder together. `adversarial`: the generator against a discriminator. A batch has
    images of classes that are drawn uniformly, however many images each class has.
    """

    dataset: str
    resolution: int = Field(ge=8, le=128)
    """side of the images in pixels"""
    shape: GeneratorShape = GeneratorShape()
    batch_size: int = Field(default=32, ge=2)
    """of the last two stages, per step"""
    classifier_steps: Count = 1500
    """of either classifier"""
    classifier_batch_size: int = Field(default=64, ge=2)
    classifier_lr: Positive = 1e-3
    feature_width: int = Field(default=32, ge=2)
    """channels of the ConvNet whose maps serve the losses, and of the encoder"""
    scorer: NetworkByName = Network(name="resnet18", width=8)
    """the classifier that only scores; of another architecture than the ConvNet of the losses"""
    autoencoder_steps: Count = 3000
    autoencoder_lr: Positive = 2e-3
    feature_weight: Weight = 0.5
    """of the distance in features, beside the mean absolute error of pixels in [-1, 1]"""
    kl_weight: Weight = 2e-3
    """of a nat of the Kullback-Leibler divergence per image"""
    adversarial_steps: int = Field(default=3000, ge=0)
    """0: the generator of the autoencoder is the result; a training with more of them goes on from one with fewer"""
    autoencoder_weight: Weight = 0.0
    """of the autoencoder's loss, added to the generator's in the adversarial stage, which then trains the encoder too;
    0: it is not added"""
    guidance_weight: Weight = 0.0
    """of the cross-entropy of samples and the classes they were asked for, by the classifier of the features, added to
    the generator's loss in the adversarial stage (Sauer et al., 2022, "StyleGAN-XL", classifier guidance); 0: none"""
    generator_lr: Positive = 1e-3
    discriminator_lr: Positive = 3e-4
    discriminator_width: int = Field(default=32, ge=2)
    """channels of the discriminator's ConvNets, one for pixels and for each depth of features"""
    gradient_penalty: Weight = 0.3
    """gamma of R1 and R2"""
    penalty_every: Count = 16
    """steps between two penalties, which count so many times as much"""
    average_images: Count = 10_000
    """images after which a weight's part in the average has halved"""
    augmentation: Augmentation = DSA
    """DSA operations on what classifiers and discriminator see, drawn per image; empty: none"""
    score_images_per_class: Count = 400
    """that each score is of, or as many as the class has test images; more are not compared"""
    score_epochs: Count = 30
    """of the classifier that is trained on samples alone"""
    score_truncation: float = Field(default=0.8, gt=0, le=1)
    """psi of samples that are scored beside those without truncation; 1: none are"""
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.scorer.name == "convnet":
            raise UserError(
                "The scorer is a convnet, as the network of the losses is: name another architecture, for example "
                "resnet18, so that the scores are not those of what was trained against."
            )
        if self.scorer.foreign:
            raise UserError(
                f"The scorer is {self.scorer.name}, of which only logits are known, and scores need features too: name "
                "one of alexnet, vgg11, resnet18 and vit."
            )
        if len(dataset_facts(self.dataset).class_names) < 2:
            raise UserError(
                f"{self.dataset} has a single class, and a generator learns from what tells classes apart: use a "
                "dataset of two classes or more."
            )
        self.synthesis_settings  # noqa: B018  (raises for a resolution that is not possible)
        return self

    def _unsaid(self, *, identity: bool) -> Collection[str]:
        return {
            *super()._unsaid(identity=identity),
            *self._at_default("autoencoder_weight", "guidance_weight", "score_truncation"),
        }

    def _decisive(self, content: dict[str, Any]) -> dict[str, Any]:
        # The scores of a generator do not change it, and more steps of the last stage go on from fewer.
        unchanged = ("score_images_per_class", "score_epochs", "adversarial_steps")
        content = content | {name: type(self).model_fields[name].default for name in unchanged}
        return {name: value for name, value in content.items() if name != "score_truncation"}

    def steps(self, stage: Stage) -> int:
        """Steps of a stage."""
        match stage:
            case "features" | "scorer":
                return self.classifier_steps
            case "autoencoder":
                return self.autoencoder_steps
            case "adversarial":
                return self.adversarial_steps

    @property
    def classes(self) -> int:
        """Classes of the dataset."""
        return dataset_facts(self.dataset).classes

    @property
    def channels(self) -> int:
        """Channels of the images."""
        return dataset_facts(self.dataset).channels

    @property
    def mapping_settings(self) -> MappingSettings:
        """The network from a normal draw and a class to a style code."""
        return MappingSettings(
            z_dim=self.shape.z_dim,
            w_dim=self.shape.w_dim,
            classes=self.classes,
            embedding_rows=self.classes,
            embedding_dim=self.shape.z_dim,
            hidden_layers=self.shape.hidden_layers,
            learning_rate_factor=1.0,
        )

    @property
    def synthesis_settings(self) -> SynthesisSettings:
        """Every layer of the network from codes to images; raises `UserError` for an impossible resolution."""
        return compact(
            resolution=self.resolution,
            channel_base=self.shape.channel_base,
            channel_max=self.shape.channel_max,
            image_channels=self.channels,
            w_dim=self.shape.w_dim,
        )
