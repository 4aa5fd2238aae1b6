"""The two classifiers of real images: one whose maps serve the losses, and one that only scores."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import override

from glad_ray.generator_training.base import Setting, Tensors, TrainingStage, of_prefix, prefixed
from glad_ray.networks import Classifier, build_network
from glad_ray.networks.build import set_dropout_rng
from glad_ray.optimisers.adam import Adam
from glad_ray.spec import Network
from glad_ray.spec.generator_training import Stage

_BETAS = (0.9, 0.99)


class ClassifierStage(TrainingStage):
    """Cross-entropy on augmented real images, Adam with a rate that falls linearly to 0."""

    def __init__(self, setting: Setting, stage: Stage) -> None:
        self.setting, self.stage = setting, stage
        self.network = new_classifier(setting, stage, setting.rng(f"{stage} network"))
        self._adam = Adam(dict(self.network.named_parameters()), setting.training.classifier_lr, _BETAS)

    @override
    def step(self, number: int) -> Mapping[str, float]:
        training, rng = self.setting.training, self.setting.rng(f"{self.stage} step", number)
        labels, images = self.setting.draw(training.classifier_batch_size, rng)
        set_dropout_rng(self.network, rng)
        logits = self.network(self.setting.augmented(self.setting.seen(images), rng))
        loss = F.cross_entropy(logits, labels)
        self._adam.lr = training.classifier_lr * (1 - number / training.classifier_steps)
        self._adam.step(loss)
        return {"cross-entropy": float(loss.detach())}

    @override
    def tensors(self) -> Tensors:
        return prefixed("network", self.network.state_dict()) | prefixed("adam", self._adam.tensors())


def new_classifier(setting: Setting, stage: Stage, rng: torch.Generator | None) -> Classifier:
    """The network of a stage before it is trained; `rng` None: for weights that are loaded."""
    training = setting.training
    network = Network(name="convnet", width=training.feature_width) if stage == "features" else training.scorer
    return build_network(
        network, channels=training.channels, resolution=training.resolution, classes=training.classes, rng=rng
    ).to(setting.device)


def trained_classifier(setting: Setting, stage: Stage, outcome: Mapping[str, Tensor]) -> Classifier:
    """The network that a stage has trained, frozen, in evaluation mode; `outcome`: its tensors."""
    network = new_classifier(setting, stage, None)
    network.load_state_dict(of_prefix("network", outcome))
    return network.eval().requires_grad_(False)
