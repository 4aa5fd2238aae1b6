"""The datasets of small images: MNIST and its kin, CIFAR, SVHN."""

from glad_ray.spec.datasets.facts import DatasetFacts, from_torchvision

_DC = "those of DC and DM (Zhao et al.), used by every table since"

_DIGITS = tuple("0123456789")
_FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
_CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
_CIFAR100_CLASSES = (
    "apple", "aquarium fish", "baby", "bear", "beaver", "bed", "bee", "beetle", "bicycle", "bottle",
    "bowl", "boy", "bridge", "bus", "butterfly", "camel", "can", "castle", "caterpillar", "cattle",
    "chair", "chimpanzee", "clock", "cloud", "cockroach", "couch", "crab", "crocodile", "cup", "dinosaur",
    "dolphin", "elephant", "flatfish", "forest", "fox", "girl", "hamster", "house", "kangaroo", "keyboard",
    "lamp", "lawn mower", "leopard", "lion", "lizard", "lobster", "man", "maple tree", "motorcycle", "mountain",
    "mouse", "mushroom", "oak tree", "orange", "orchid", "otter", "palm tree", "pear", "pickup truck", "pine tree",
    "plain", "plate", "poppy", "porcupine", "possum", "rabbit", "raccoon", "ray", "road", "rocket",
    "rose", "sea", "seal", "shark", "shrew", "skunk", "skyscraper", "snail", "snake", "spider",
    "squirrel", "streetcar", "sunflower", "sweet pepper", "table", "tank", "telephone", "television", "tiger",
    "tractor", "train", "trout", "tulip", "turtle", "wardrobe", "whale", "willow tree", "wolf", "woman", "worm",
)  # fmt: skip


def _fashion_mnist(name: str, title: str, train_images: int, test_images: int) -> DatasetFacts:
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
        statistics=_DC,
        obtain="install it with `apt-get install dataset-fashion-mnist`, or "
        + from_torchvision("FashionMNIST('data', download=True)"),
    )


OF_ONE_SIZE = (
    _fashion_mnist("fashion-mnist-sample", "Fashion-MNIST (bundled sample)", 4000, 1000),
    _fashion_mnist("fashion-mnist", "Fashion-MNIST", 60000, 10000),
    DatasetFacts(
        name="mnist",
        title="MNIST",
        class_names=_DIGITS,
        channels=1,
        resolution=28,
        train_images=60000,
        test_images=10000,
        mean=(0.1307,),
        std=(0.3081,),
        statistics=_DC,
        obtain=from_torchvision("MNIST('data', download=True)"),
    ),
    DatasetFacts(
        name="cifar10",
        title="CIFAR-10",
        class_names=_CIFAR10_CLASSES,
        channels=3,
        resolution=32,
        train_images=50000,
        test_images=10000,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2023, 0.1994, 0.2010),
        statistics=f"{_DC}; GLaD's code has them too",
        obtain=from_torchvision("CIFAR10('data', download=True)"),
    ),
    DatasetFacts(
        name="cifar100",
        title="CIFAR-100",
        class_names=_CIFAR100_CLASSES,
        channels=3,
        resolution=32,
        train_images=50000,
        test_images=10000,
        mean=(0.5071, 0.4866, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        statistics=f"{_DC}; GLaD's code has CIFAR-10's in their stead",
        obtain=from_torchvision("CIFAR100('data', download=True)"),
    ),
    DatasetFacts(
        name="svhn",
        title="SVHN",
        class_names=_DIGITS,
        channels=3,
        resolution=32,
        train_images=73257,
        test_images=26032,
        mean=(0.4377, 0.4438, 0.4728),
        std=(0.1980, 0.2010, 0.1970),
        statistics=_DC,
        obtain=from_torchvision("SVHN('data', 'train', download=True)", "SVHN('data', 'test', download=True)"),
    ),
)
