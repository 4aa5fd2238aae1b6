"""The record of what is known of a dataset before any of its images is opened."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """What is known of a dataset without opening it."""

    name: str
    title: str
    class_names: tuple[str, ...]
    channels: int
    resolution: int
    """side in pixels of the stored images; of data of many sizes, what runs take that name none"""
    many_sizes: bool = False
    """the stored images have no one size: each is resized and cropped"""
    train_images: int
    train_images_exact: bool = True
    """False: an estimate, for nobody publishes the number"""
    test_images: int
    mean: tuple[float, ...]
    """per channel, of images in [0, 1]"""
    std: tuple[float, ...]
    statistics: str = ""
    """where mean and std are from"""
    obtain: str = ""
    """how to get it, as what follows "it was not found: " """
    note: str = ""
    """which part of a user's own dataset is read, where it has more; as what follows its name and ": " """
    imagenet_indices: tuple[int, ...] = ()
    """which of ImageNet's 1000 classes each class is; empty for other data"""

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


@dataclass(frozen=True, kw_only=True)
class NamedDataset(DatasetFacts):
    """A dataset that has a name here."""

    reader: str
    """module that finds and reads its files, a `glad_ray.data.parts.Reader`"""
    folders: tuple[str, ...] = ()
    """where its files may lie, below the folder of all data"""


def from_torchvision(*calls: str) -> str:
    """How to get what torchvision downloads, by the calls that do it."""
    code = "; ".join(f"torchvision.datasets.{call}" for call in calls)
    return f'download it with `python -c "import torchvision; {code}"` and set GLAD_RAY_DATA to that folder'
