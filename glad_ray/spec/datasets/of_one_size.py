"""The datasets of small images: MNIST and its kin, CIFAR, SVHN."""

from dataclasses import replace

from glad_ray.spec.datasets.facts import NamedDataset, from_torchvision

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


_FASHION_MNIST = NamedDataset(
    name="fashion-mnist",
    title="Fashion-MNIST",
    reader="glad_ray.data.readers.mnist",
    # torchvision's layout, Debian's package, and the files themselves.
    folders=("FashionMNIST/raw", "fashion-mnist", "dataset-fashion-mnist", "."),
    class_names=_FASHION_CLASSES,
    channels=1,
    resolution=28,
    train_images=60000,
    test_images=10000,
    mean=(0.2861,),
    std=(0.3530,),
    statistics=_DC,
    obtain="install it with `apt-get install dataset-fashion-mnist`, or "
    + from_torchvision("FashionMNIST('data', download=True)"),
)
_SAMPLE = replace(
    _FASHION_MNIST,
    name="fashion-mnist-sample",
    title="Fashion-MNIST (bundled sample)",
    reader="glad_ray.data.readers.png_table",
    folders=(),
    train_images=4000,
    test_images=1000,
)

OF_ONE_SIZE = (
    _SAMPLE,
    _FASHION_MNIST,
    NamedDataset(
        name="mnist",
        title="MNIST",
        reader="glad_ray.data.readers.mnist",
        folders=("MNIST/raw", "mnist", "."),
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
    NamedDataset(
        name="cifar10",
        title="CIFAR-10",
        reader="glad_ray.data.readers.cifar",
        folders=("cifar-10-batches-py", "cifar-10-batches-bin", "."),
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
    NamedDataset(
        name="cifar100",
        title="CIFAR-100",
        reader="glad_ray.data.readers.cifar",
        folders=("cifar-100-python", "cifar-100-binary", "."),
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
    NamedDataset(
        name="svhn",
        title="SVHN",
        reader="glad_ray.data.readers.svhn",
        folders=("SVHN", "svhn", "."),
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
