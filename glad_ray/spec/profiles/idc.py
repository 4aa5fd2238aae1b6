"""IDC and DREAM: their released code. What their papers say was not compared."""

from glad_ray.spec.profiles.difference import Difference

IDC: tuple[Difference, ...] = (
    Difference(
        item="IDC: classes of a step",
        paper="not compared", code="one class after another, one momentum over all", follows="profile",
        reason="Together a generator decodes an image once an iteration; a gradient moves an image as far in the end.",
        field="algorithm.classes", algorithms=("idc", "dream"), code_value=lambda run: "in turn",
    ),
    Difference(
        item="IDC: learning rate of pixels",
        paper="not compared", code="of pixels in [0, 1], by dataset and images per class", follows="own",
        reason="Divided by the variance, for pixels are normalised here; that of the dataset's own size.",
        algorithms=("idc", "dream"),
    ),
    Difference(
        item="IDC: real images of a step and of the networks' training",
        paper="not compared", code="epoch by epoch, the last incomplete batch dropped", follows="own",
        reason="Drawn anew at every step, so that a run goes on from any of them; different ones within a step.",
        algorithms=("idc", "dream"),
    ),
    Difference(
        item="IDC: training of a network after its last step",
        paper="not compared", code="yes", follows="own",
        reason="Nothing sees it: the next step has a new network.", algorithms=("idc", "dream"),
    ),
    Difference(
        item="IDC: images that a run starts from",
        paper="not compared", code="the first of each class in the dataset's order", follows="own",
        reason="Drawn independently from each class, as with the other algorithms.", algorithms=("idc",),
    ),
    Difference(
        item="IDC: places of a start whose side the factor does not divide",
        paper="not compared", code="larger places first; pieces that are cut out mix neighbours", follows="code",
        algorithms=("idc", "dream"),
    ),
    Difference(
        item="IDC: MNIST with several images in one",
        paper="not compared", code="no cutout, no CutMix", follows="own",
        reason="As with the other datasets: augmentation and algorithm.network_mixing change it.",
        algorithms=("idc", "dream"), applies=lambda run: run.dataset == "mnist",
    ),
    Difference(
        item="IDC: accuracy reported",
        paper="not compared", code="the best of four tests on the test set, and the last", follows="own",
        reason="The last step, the best on held-out images and the best on the test set are never mixed.",
        algorithms=("idc", "dream"),
    ),
    Difference(
        item="DREAM: what is matched",
        paper="not compared", code="the first script fails but for gradients; the second has features too (DREAM+)",
        follows="own",
        reason="Gradients: algorithm.matched=both is that of DREAM+.", algorithms=("dream",),
    ),
    Difference(
        item="DREAM: images whose features are clustered",
        paper="not compared", code="in [0, 1], not normalised", follows="own",
        reason="Normalised, as networks see all images.", algorithms=("dream",),
    ),
    Difference(
        item="DREAM: k-means",
        paper="not compared", code="a library, unpinned: its versions draw first centres differently", follows="code",
        reason="As fast_pytorch_kmeans 0.2.2: with replacement, and an empty cluster's centre is 0.",
        algorithms=("dream",),
    ),
)  # fmt: skip
