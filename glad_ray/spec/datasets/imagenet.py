"""ImageNet-1k (ILSVRC 2012; Russakovsky et al., 2015) and what is cut from it: ten-class subsets, Tiny ImageNet.

A class is known by its index: its place among the 1000 WordNet ids in ascending order, which is the order of the
folders. The subsets are lists of such indices, from the code of GLaD (Cazenavette et al., 2023), in its order, for
labels follow it. Where the paper's Table 1 names other classes than its code (ImageNet-E), both are here. Two lists of
that code are left out, for they repeat others: `imagestrings` is `imagewind`, `imageveg` is `imagemisc` but for one
class.
"""

import csv
from pathlib import Path
from typing import NamedTuple

from glad_ray.spec.datasets.facts import NamedDataset


class ImageNetClass(NamedTuple):
    """One of the 1000 classes."""

    wnid: str
    """its id in WordNet, which names its folder"""
    name: str


def _read_classes() -> tuple[ImageNetClass, ...]:
    with (Path(__file__).parent / "imagenet_classes.csv").open(newline="", encoding="utf-8") as file:
        return tuple(ImageNetClass(row["wnid"], row["name"]) for row in csv.DictReader(file))


IMAGENET_CLASSES = _read_classes()
"""All 1000, in the order of their indices; named as torchvision names them."""

_ALL_TRAIN_IMAGES = 1_281_167
_TEST_IMAGES_PER_CLASS = 50
_RESOLUTION = 128
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_STATISTICS = "those that everybody takes for ImageNet, DC and GLaD's code among them"
_OBTAIN = (
    "get ILSVRC2012_img_train.tar, ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz from image-net.org, "
    "unpack them with `python -c \"import torchvision; [torchvision.datasets.ImageNet('FOLDER', s) for s in "
    "('train', 'val')]\"` and set GLAD_RAY_DATA to FOLDER"
)

_NETTE = (0, 217, 482, 491, 497, 566, 569, 571, 574, 701)
_WOOF = (193, 182, 258, 162, 155, 167, 159, 273, 207, 229)
_SUBSETS = {
    "imagenet-a": ("ImageNet-A", (255, 376, 984, 364, 500, 986, 333, 576, 148, 135)),
    "imagenet-b": ("ImageNet-B", (129, 916, 90, 275, 995, 874, 102, 259, 685, 139)),
    "imagenet-c": ("ImageNet-C", (565, 94, 554, 535, 92, 392, 291, 136, 324, 11)),
    "imagenet-d": ("ImageNet-D", (9, 258, 13, 262, 19, 339, 321, 24, 93, 322)),
    "imagenet-e": ("ImageNet-E", (816, 96, 100, 145, 739, 713, 783, 76, 688, 326)),
    # As the table has it: the code's unused list of these animals has the African chameleon (47) for the American (40).
    "imagenet-e-table": ("ImageNet-E of the paper's Table 1", (29, 31, 56, 40, 39, 27, 25, 37, 50, 42)),
    "imagenette": ("ImageNette", _NETTE),
    "imagewoof": ("ImageWoof", _WOOF),
    "imagenet-birds": ("ImageNet-Birds", (84, 130, 88, 144, 145, 22, 96, 9, 100, 89)),
    "imagenet-fruits": ("ImageNet-Fruits", (953, 954, 949, 950, 951, 957, 952, 945, 943, 948)),
    "imagenet-cats": ("ImageNet-Cats", (281, 282, 283, 284, 285, 291, 292, 290, 289, 287)),
    "imagenet-yellow": ("ImageNet-Yellow", (309, 986, 954, 951, 987, 779, 599, 291, 72, 11)),
    "imagenet-geo": ("ImageNet-Geo", (980, 970, 975, 974, 973, 977, 976, 978, 972, 979)),
    "imagenet-food": ("ImageNet-Food", (933, 934, 932, 963, 930, 928, 924, 959, 931, 927)),
    "imagenet-mammals": ("ImageNet-Mammals", (386, 387, 354, 340, 338, 104, 103, 279, 334, 366)),
    "imagenet-marine": ("ImageNet-Marine", (148, 2, 397, 327, 33, 150, 107, 108, 119, 392)),
    "imagenet-blub": ("ImageNet-Blub", (392, 393, 33, 397, 6, 107, 327, 390, 108, 122)),
    "imagenet-bugs": ("ImageNet-Bugs", (301, 309, 323, 319, 315, 75, 306, 313, 311, 71)),
    "imagenet-herps": ("ImageNet-Herps", (29, 31, 56, 47, 39, 27, 25, 37, 50, 42)),
    "imagenet-misc": ("ImageNet-Misc", (971, 719, 920, 506, 614, 486, 507, 873, 562, 514)),
    "imagenet-sport": ("ImageNet-Sport", (429, 430, 522, 574, 722, 768, 805, 852, 890, 746)),
    "imagenet-wheels": ("ImageNet-Wheels", (555, 569, 561, 751, 866, 880, 612, 820, 466, 671)),
    "imagenet-wind": ("ImageNet-Wind", (776, 513, 566, 558, 683, 684, 432, 875, 699, 593)),
}
# Of the others only the sum over all 1000 classes is published; these two by fast.ai.
_TRAIN_IMAGES = {"imagenette": 12894, "imagewoof": 12454}

_TINY_INDICES = (
    1, 25, 30, 32, 50, 61, 69, 71, 75, 76, 79, 99, 105, 107, 109, 113, 114, 115, 122, 123, 128, 145, 146, 149, 151, 187,
    207, 208, 235, 267, 281, 283, 285, 286, 291, 294, 301, 308, 309, 311, 313, 314, 315, 319, 323, 325, 329, 338, 341,
    345, 347, 349, 353, 354, 365, 367, 372, 386, 387, 398, 400, 406, 411, 414, 421, 424, 425, 427, 430, 435, 436, 437,
    438, 440, 445, 447, 448, 457, 458, 462, 463, 466, 467, 470, 471, 474, 480, 485, 488, 492, 496, 500, 508, 509, 511,
    517, 525, 526, 532, 542, 543, 557, 562, 565, 567, 568, 570, 573, 576, 604, 605, 612, 614, 619, 621, 625, 627, 635,
    645, 652, 655, 675, 677, 678, 682, 683, 687, 704, 707, 716, 720, 731, 733, 734, 735, 737, 739, 744, 747, 758, 760,
    761, 765, 768, 774, 779, 781, 786, 801, 806, 808, 811, 815, 817, 821, 826, 837, 839, 842, 845, 849, 850, 853, 862,
    866, 873, 874, 877, 879, 887, 888, 890, 899, 900, 909, 910, 917, 923, 924, 928, 929, 932, 935, 938, 945, 947, 950,
    951, 954, 957, 962, 963, 964, 967, 970, 972, 973, 975, 978, 988,
)  # fmt: skip


def _cut_from_imagenet(
    name: str,
    title: str,
    indices: tuple[int, ...],
    *,
    train_images: int,
    train_images_exact: bool = True,
    test_images: int,
    folders: tuple[str, ...] = ("imagenet", "ImageNet", "ILSVRC2012", "."),
    resolution: int = _RESOLUTION,
    many_sizes: bool = True,
    obtain: str = _OBTAIN,
) -> NamedDataset:
    return NamedDataset(
        name=name,
        title=title,
        reader="glad_ray.data.readers.imagenet",
        folders=folders,
        class_names=tuple(IMAGENET_CLASSES[index].name for index in indices),
        channels=3,
        resolution=resolution,
        many_sizes=many_sizes,
        train_images=train_images,
        train_images_exact=train_images_exact,
        test_images=test_images,
        mean=_MEAN,
        std=_STD,
        statistics=_STATISTICS,
        obtain=obtain,
        imagenet_indices=indices,
    )


def _subset(name: str, title: str, indices: tuple[int, ...]) -> NamedDataset:
    average = round(_ALL_TRAIN_IMAGES * len(indices) / len(IMAGENET_CLASSES))
    return _cut_from_imagenet(
        name,
        title,
        indices,
        train_images=_TRAIN_IMAGES.get(name, average),
        train_images_exact=name in _TRAIN_IMAGES,
        test_images=_TEST_IMAGES_PER_CLASS * len(indices),
    )


def _fastai(name: str, title: str, indices: tuple[int, ...], archive: str, train: int, test: int) -> NamedDataset:
    return _cut_from_imagenet(
        name,
        title,
        # Its folders in ascending order, as everybody who loads them by their names has them.
        tuple(sorted(indices)),
        train_images=train,
        test_images=test,
        folders=(archive, "."),
        obtain=f"get and unpack {archive}.tgz of github.com/fastai/imagenette and set GLAD_RAY_DATA to the folder "
        f"that {archive} lies in",
    )


IMAGENET = (
    *(_subset(name, title, indices) for name, (title, indices) in _SUBSETS.items()),
    _cut_from_imagenet(
        "imagenet",
        "ImageNet",
        tuple(range(len(IMAGENET_CLASSES))),
        train_images=_ALL_TRAIN_IMAGES,
        test_images=_TEST_IMAGES_PER_CLASS * len(IMAGENET_CLASSES),
    ),
    _fastai("imagenette-fastai", "Imagenette of fast.ai", _NETTE, "imagenette2", 9469, 3925),
    _fastai("imagewoof-fastai", "Imagewoof of fast.ai", _WOOF, "imagewoof2", 9025, 3929),
    _cut_from_imagenet(
        "tiny-imagenet",
        "Tiny ImageNet",
        _TINY_INDICES,
        train_images=100_000,
        test_images=10_000,
        folders=("tiny-imagenet-200", "."),
        resolution=64,
        many_sizes=False,
        obtain="get and unpack http://cs231n.stanford.edu/tiny-imagenet-200.zip and set GLAD_RAY_DATA to the folder "
        "that tiny-imagenet-200 lies in",
    ),
)
