"""Facts about the datasets: what a plan needs to know before any image is read."""

from dataclasses import dataclass

from glad_ray.errors import unknown


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """What is known of a dataset without opening it."""

    name: str
    title: str
    class_names: tuple[str, ...]
    channels: int
    resolution: int
    """side of the stored images in pixels"""
    train_images: int
    test_images: int
    mean: tuple[float, ...]
    """per channel, of images in [0, 1]"""
    std: tuple[float, ...]

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


_FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip


def _fashion_mnist(name: str, title: str, train_images: int, test_images: int) -> DatasetFacts:
    # Mean and deviation: those of DC and DM (Zhao et al.) for Fashion-MNIST, used by every table since.
    return DatasetFacts(
        name=name,
        title=title,
        class_names=_FASHION_CLASSES,
        channels=1,
        resolution=28,
        train_images=train_images,
        test_images=test_images,
        mean=(0.2861,),
        std=(0.3530,),
    )


DATASETS: dict[str, DatasetFacts] = {
    facts.name: facts
    for facts in (
        _fashion_mnist("fashion-mnist-sample", "Fashion-MNIST (bundled sample)", 4000, 1000),
        _fashion_mnist("fashion-mnist", "Fashion-MNIST", 60000, 10000),
    )
}


def dataset_facts(name: str) -> DatasetFacts:
    """The facts of a dataset by name; raises `UserError` naming the nearest known one."""
    if name not in DATASETS:
        raise unknown("dataset", name, DATASETS)
    return DATASETS[name]
