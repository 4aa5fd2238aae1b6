"""Where GLaD's paper and its released code disagree, and what is done here: one table. H-PD's are with it, for runs in
a space of several layers.

A run names its profile. `paper` is what the records' defaults say: the paper and its supplement, and where they are
silent the original algorithms. `reference-code` sets the fields that the run does not to what the released code does
when run as released. Differences that no field carries are decided for both profiles, and so are faults of either.
Of FTD and DATM it is their own released code; what their papers say was not compared.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from glad_ray.spec.algorithms import ALGORITHM_NAMES, ALGORITHMS
from glad_ray.spec.record import R, Record, imply
from glad_ray.spec.whitening import MOST_NUMBERS

if TYPE_CHECKING:
    from glad_ray.spec.run import Run

Profile = Literal["paper", "reference-code"]
_DISTILLING = tuple(kind.name_of() for kind in ALGORITHMS if kind.distils)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One disagreement."""

    item: str
    paper: str
    code: str
    follows: Literal["profile", "paper", "code", "own"]
    """`profile`: the run's; else the same in both, `own` where neither is right"""
    reason: str = ""
    field: str = ""
    """of a run, where a profile sets it"""
    algorithms: tuple[str, ...] = ("dc", "dm", "mtt")
    applies: Callable[["Run"], bool] = lambda run: True
    """whether it is one of a run of these algorithms"""
    code_value: Callable[["Run"], Any] | None = None
    """what the profile `reference-code` sets the field to"""


def _rates(pixels: float, w: float, g: float) -> Callable[["Run"], dict[str, float]]:
    """The code's rates: one for pixels and F; w has its own, but not in the space w+, where it gets that of pixels."""
    return lambda run: {"pixels": pixels, "f": pixels, "w": pixels if run.space == "w+" else w, "g": g}


def _can_be_whitened(run: "Run") -> bool:
    side = run.resolution or (run.generator.resolution if run.generator else run.facts.resolution)
    return run.facts.channels * side**2 <= MOST_NUMBERS


def _layered(run: "Run") -> bool:
    """Whether it goes through several layers, as H-PD does."""
    return len(run.spaces) > 1


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        item="MTT: student steps N",
        paper="10", code="20", follows="profile",
        field="algorithm.synthetic_steps", algorithms=("mtt",), code_value=lambda run: 20,
    ),
    Difference(
        item="MTT: expert epochs M",
        paper="2", code="3", follows="profile",
        field="algorithm.expert_epochs", algorithms=("mtt",), code_value=lambda run: 3,
    ),
    Difference(
        item="MTT: latest start epoch T+",
        paper="2", code="5, itself never drawn", follows="profile",
        reason="Whether T+ itself may be drawn the paper does not say: it is not, in either profile.",
        field="algorithm.max_start_epoch", algorithms=("mtt",), code_value=lambda run: 5,
    ),
    Difference(
        item="MTT: iterations",
        paper="5000", code="1000", follows="profile",
        field="algorithm.iterations", algorithms=("mtt",), applies=lambda run: not _layered(run),
        code_value=lambda run: 1000,
    ),
    Difference(
        item="DM: iterations",
        paper="not said (20000 in the original)", code="1000", follows="profile",
        field="algorithm.iterations", algorithms=("dm",), applies=lambda run: not _layered(run),
        code_value=lambda run: 1000,
    ),
    Difference(
        item="DC: distance of gradients",
        paper="one cosine over all parameters (equation 1)", code="a cosine per output row of each weight",
        follows="code",
        reason="One cosine gives gradients some 300 to 600 times smaller (ConvNet, width 32 and 128); the original's "
        "rates were made for the other. algorithm.matching=cosine is the paper's.",
        algorithms=("dc",),
    ),
    Difference(
        item="DC: outer loops",
        paper="not said (original: by ipc, 10 at 10)", code="1 at every ipc", follows="profile",
        field="algorithm.outer_loops", algorithms=("dc",), code_value=lambda run: 1,
    ),
    Difference(
        item="DC: inner loops",
        paper="not said (original: by ipc, 50 at 10)", code="1 at every ipc", follows="profile",
        field="algorithm.inner_loops", algorithms=("dc",), code_value=lambda run: 1,
    ),
    Difference(
        item="DC: learning rates of pixels, F, w",
        paper="the original's 0.1; w a tenth of F's", code="1, 1, 0.001 (w+: 1)", follows="profile",
        field="algorithm.learning_rates", algorithms=("dc",), code_value=_rates(1.0, 0.001, 1e-4),
    ),
    Difference(
        item="DM: learning rates of pixels, F, w",
        paper="the original's 1; w a tenth of F's", code="10, 10, 0.01 (w+: 10)", follows="profile",
        field="algorithm.learning_rates", algorithms=("dm",), code_value=_rates(10.0, 0.01, 1e-4),
    ),
    Difference(
        item="MTT: learning rates of pixels, F, w",
        paper="the original's 1000; w a tenth of F's", code="10000, 10000, 10 (w+: 10000)", follows="profile",
        field="algorithm.learning_rates", algorithms=("mtt",), code_value=_rates(10000.0, 10.0, 0.1),
    ),
    Difference(
        item="pixel space: start",
        paper="not said (real images in DSA, DM and MTT)", code="noise", follows="profile",
        field="init", applies=lambda run: run.space == "pixel", code_value=lambda run: "noise",
    ),
    Difference(
        item="evaluations",
        paper="after the last step", code="every 100 steps, the best on the test set", follows="profile",
        reason="The last step, the best on held-out images and the best on the test set are never mixed, whatever the "
        "profile: each has rows of its own.",
        field="snapshots", code_value=lambda run: max(1, run.steps // 100),
    ),
    Difference(
        item="MTT: norm of the experts",
        paper="instance norm", code="batch norm, the student instance norm", follows="profile",
        field="algorithm.experts.norm", algorithms=("mtt",), code_value=lambda run: "batchnorm",
    ),
    Difference(
        item="MTT: epochs of the experts",
        paper="15", code="200 (15 in its readme)", follows="paper",
    ),
    Difference(
        item="MTT: experts see DSA",
        paper="not said", code="yes", follows="code",
        reason="algorithm.experts.augmentation changes it.",
    ),
    Difference(
        item="NCFM: where frequencies come from",
        paper="a network psi that maximises", code="normal draws: psi is off in every setting", follows="profile",
        field="algorithm.sampling", algorithms=("ncfm",), code_value=lambda run: "gaussian",
    ),
    Difference(
        item="NCFM: the step of psi",
        paper="up the loss", code="none: the gradients of the loss and of its negative are added up", follows="paper",
        reason="algorithm.sampling=untrained is the code's.", algorithms=("ncfm",),
    ),
    Difference(
        item="NCFM: learning rate of psi",
        paper="not known: its supplement was not at hand",
        code="0.001, of steps that cancel", follows="own",
        reason="0.0001: in a short run 0.001 cost accuracy (docs/algorithms.md); algorithm.sampling_lr changes it.",
        algorithms=("ncfm",),
    ),
    Difference(
        item="NCFM: size of psi",
        paper="a component for 16 of 1024 frequencies", code="64 frequencies of 4 components, 2048 features",
        follows="paper",
        reason="It has as many features as the backbone, and each of its frequencies once: repetitions change no mean.",
        algorithms=("ncfm",),
    ),
    Difference(
        item="NCFM: frequencies",
        paper="1024", code="4096", follows="profile",
        field="algorithm.frequencies", algorithms=("ncfm",), code_value=lambda run: 4096,
    ),
    Difference(
        item="NCFM: classes of a step",
        paper="a sum over classes", code="one class after another, one optimiser over all, matching before calibration",
        follows="profile",
        reason="Together a generator decodes an image once an iteration, not twice, and every image has a gradient in "
        "every step.",
        field="algorithm.classes", algorithms=("ncfm",), code_value=lambda run: "in turn",
    ),
    Difference(
        item="NCFM: real images per class and step",
        paper="not known: its supplement was not at hand",
        code="1024", follows="profile",
        field="algorithm.real_batch_size", algorithms=("ncfm",), code_value=lambda run: 1024,
    ),
    Difference(
        item="NCFM: real images seen",
        paper="not said", code="the first of each class, in every step", follows="profile",
        reason="Where they are fixed, they are drawn once for each run.",
        field="algorithm.real_images_seen", algorithms=("ncfm",), code_value=lambda run: "fixed",
    ),
    Difference(
        item="NCFM: rates over the iterations",
        paper="not known: its supplement was not at hand",
        code="halved after 500 iterations without a lower loss", follows="profile",
        field="algorithm.optimiser.patience", algorithms=("ncfm",), code_value=lambda run: 500,
    ),
    Difference(
        item="NCFM: learning rate of pixels",
        paper="not known: its supplement was not at hand",
        code="0.001 of pixels in [0, 1], about 0.004 of normalised ones", follows="profile",
        reason="With the code's steps of one class an image goes on along its moments in those of the others.",
        field="algorithm.learning_rates", algorithms=("ncfm",),
        code_value=lambda run: {"pixels": 0.004, "f": 0.004, "w": 0.004, "g": 1e-4},
    ),
    Difference(
        item="NCFM: augmentation",
        paper="differentiable augmentation", code="colour, crop and cutout in order", follows="code",
        reason="The paper does not say which; a run's augmentation changes it.", algorithms=("ncfm",),
    ),
    Difference(
        item="NCFM: pixels out of range",
        paper="not known: its supplement was not at hand",
        code="clipped before each iteration", follows="code",
        reason="Not of whitened images, which have no range.", algorithms=("ncfm",),
    ),
    Difference(
        item="NCFM: images of a step",
        paper="-", code="decoded about ten steps before, by a queue", follows="own",
        reason="Gradients are those of the images as they are.", algorithms=("ncfm",),
    ),
    Difference(
        item="NCFM: features of a ResNet",
        paper="not known: its supplement was not at hand",
        code="the sum over layers of a list that no setting has", follows="own",
        reason="Those before the last layer, of every network.", algorithms=("ncfm",),
    ),
    Difference(
        item="NCFM: accuracy reported",
        paper="not said", code="the best of several tests on the test set", follows="own",
        reason="The last step, the best on held-out images and the best on the test set are never mixed.",
        algorithms=("ncfm",),
    ),
    Difference(
        item="ConvNet depth",
        paper="3, 5, 6, 7 at 32, 128, 256, 512 px", code="5 at any (3 for experts), changed by hand", follows="paper",
    ),
    Difference(
        item="ViT at 128 px and above",
        paper="ViT-B/16", code="width 512, depth 10, no layer norm", follows="code",
        reason="It is what is published as code; torchvision.models:vit_b_16 is the other one.",
    ),
    Difference(
        item="evaluation: learning rate",
        paper="500 epochs warm-up, 500 cosine", code="501 warm-up, 2 at the full rate, a cosine cut short",
        follows="code",
        reason="It is what is published as code; the two differ little.",
    ),
    Difference(
        item="averaged weights",
        paper="not said", code="library unpinned: its versions differ at the second epoch", follows="code",
        reason="As ema_pytorch 0.8.3; the two differ by about 1e-5 at the end.",
    ),
    Difference(
        item="scale and rotate of DSA",
        paper="the original's (corners at pixel edges)", code="corners at pixel centres, as MTT", follows="code",
    ),
    Difference(
        item="normalisation of generated images",
        paper="not said", code="ImageNet: the mean of SVHN, 0.05 to 0.3 off; CIFAR-100: another again", follows="own",
        reason="Generated and real images are normalised alike, by the dataset's mean and deviation.",
    ),
    Difference(
        item="resizing",
        paper="not said", code="not antialiased, as torchvision before 0.17", follows="profile",
        field="antialias", algorithms=ALGORITHM_NAMES, code_value=lambda run: False,
    ),
    Difference(
        item="order of resizing and normalising",
        paper="not said", code="normalised, then resized", follows="own",
        reason="Resized first: the two commute, but for the rounding to 8 bits, half a level at most.",
    ),
    Difference(
        item="RDED: pixels in 8 bits",
        paper="not said", code="cut off", follows="profile",
        field="algorithm.truncate", algorithms=("rded",), code_value=lambda run: True,
    ),
    Difference(
        item="RDED: kept as",
        paper="not said", code="JPEG, whose losses the students see", follows="profile",
        reason="Bytes are counted as 8-bit pixels in both.",
        field="algorithm.jpeg", algorithms=("rded",), code_value=lambda run: True,
    ),
    Difference(
        item="RDED: normalisation",
        paper="not said", code="mean and deviation of ImageNet for every dataset", follows="own",
        reason="Observer, teacher and students see images as those of the dataset are normalised.",
        algorithms=("rded",),
    ),
    Difference(
        item="RDED: observer",
        paper="batch norm", code="batch norm", follows="own",
        reason="Experts keep parameters and no running statistics: the observer is the backbone, with instance norm.",
        algorithms=("rded",),
    ),
    Difference(
        item="RDED: student's passes of a mini-batch",
        paper="one", code="two, one of them for a log: statistics of batch norm move twice", follows="paper",
        reason="evaluation.seen_twice is the code's.",
        algorithms=("rded",),
    ),
    Difference(
        item="RDED: what is reported",
        paper="not said", code="the best of several epochs on the test set", follows="own",
        reason="The last epoch's network is tested.",
        algorithms=("rded",),
    ),
    Difference(
        item="MTT: learned step size",
        paper="not said", code="may become negative", follows="own",
        reason="It stays at 1e-6 or above.",
        algorithms=("mtt", "ftd", "datm"),
    ),
    Difference(
        item="FTD and DATM: training of flat experts",
        paper="not compared", code="rho 0.01, alpha 0.3 in DATM's command; 2, 0.4 in its defaults", follows="code",
        reason="Those of the command: algorithm.experts.flat. With DATM for 100 epochs, with FTD for as many as MTT.",
        algorithms=("ftd", "datm"),
    ),
    Difference(
        item="FTD: all but the experts",
        paper="not compared", code="settings by dataset; scores a moving average of the images too", follows="own",
        reason="MTT's settings, so that the two differ by their experts alone; the average is left out.",
        algorithms=("ftd",),
    ),
    Difference(
        item="DATM: iterations",
        paper="not compared (10000 here)", code="10001: 0 to 10000", follows="profile",
        field="algorithm.iterations", algorithms=("datm",), code_value=lambda run: 10001,
    ),
    Difference(
        item="DATM: batches that do not divide the images evenly",
        paper="not compared", code="taken from the end: the smaller rest first", follows="profile",
        field="algorithm.rest_first", algorithms=("datm",), code_value=lambda run: True,
    ),
    Difference(
        item="FTD and DATM: whitening",
        paper="not compared", code="ZCA", follows="profile",
        reason="None in the profile paper, so that rows stand beside those of the other algorithms.",
        field="whitening", algorithms=("ftd", "datm"), applies=_can_be_whitened, code_value=lambda run: "zca",
    ),
    Difference(
        item="DATM: order of the experts",
        paper="not compared", code="all files in random order, and all experts of a file", follows="own",
        reason="Every iteration draws one of all experts, so that a run can go on from any of them.",
        algorithms=("datm",),
    ),
    Difference(
        item="DATM: label of an image that no expert classifies correctly",
        paper="not compared", code="no number", follows="own",
        reason="The mean logits of all experts, with that of the class and the largest one exchanged.",
        algorithms=("datm",),
    ),
    Difference(
        item="DATM: start of CIFAR-100 at 50 images per class",
        paper="not compared", code="images by chance, the labels of one expert", follows="own",
        reason="As everywhere: images that experts classify correctly. init=real has the other images.",
        algorithms=("datm",),
    ),
    Difference(
        item="DATM: evaluations",
        paper="not compared", code="every 500 steps (1000 from 500 images per class on), the best on the test set",
        follows="profile",
        reason="Which step counts is in the rows, as with the others.",
        field="snapshots", algorithms=("datm",),
        code_value=lambda run: run.steps // (1000 if run.images_per_class >= 500 else 500),
    ),
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
    Difference(
        item="last batch of one image, in a network that cannot take one",
        paper="not said", code="fails (PyTorch: more than 1 value per channel)", follows="own",
        reason="It joins the batch before it, for such a network alone (batch norm over maps of one pixel).",
        algorithms=ALGORITHM_NAMES,
    ),
    Difference(
        item="random numbers",
        paper="-", code="networks and DSA seeded from the clock", follows="own",
        reason="Every draw follows from the run, its purpose and the step.",
    ),
    Difference(
        item="DC: rate of the inner network",
        paper="not said (0.01 in the original)", code="that of the network evaluated last", follows="own",
        reason="algorithm.network_lr, 0.01.",
    ),
    Difference(
        item="ImageNet-E",
        paper="Table 1 lists reptiles and amphibians: 29 31 56 47 39 27 25 37 50 42",
        code="816 96 100 145 739 713 783 76 688 326", follows="own",
        reason="Two lists need two names. The code's fits the text, which ranks classes by accuracy.",
    ),
    Difference(
        item="H-PD: steps per layer, of DC or MTT",
        paper="those of the run, as many in each layer", code="101 (100 are meant)", follows="profile",
        field="algorithm.iterations", algorithms=("dc", "mtt"), applies=_layered,
        code_value=lambda run: 101 * len(run.spaces),
    ),
    Difference(
        item="H-PD: steps per layer, of DM",
        paper="those of the run, as many in each layer", code="11 (10 are meant)", follows="profile",
        field="algorithm.iterations", algorithms=("dm",), applies=_layered,
        code_value=lambda run: 11 * len(run.spaces),
    ),
    Difference(
        item="H-PD: what a layer leaves to the next",
        paper="the step with the smallest feature distance",
        code="its last step: the nearest is kept as a reference to tensors that change", follows="profile",
        field="schedule.choice", algorithms=_DISTILLING, applies=_layered, code_value=lambda run: "last",
    ),
    Difference(
        item="H-PD: feature distance",
        paper="weighted by class activation maps",
        code="not weighted; a new network at each step; of the last map the first draw alone", follows="profile",
        reason="Weighted in neither profile: in `paper`, one network sees real and synthetic images at all steps of a "
        "layer.",
        field="schedule.distance", algorithms=_DISTILLING, applies=_layered, code_value=lambda run: "released",
    ),
    Difference(
        item="H-PD: start",
        paper="mean codes of a class", code="a code per image", follows="code",
        reason="init=average is the paper's.", algorithms=_DISTILLING,
        applies=_layered,
    ),
)  # fmt: skip


def concerns(difference: Difference, run: "Run") -> bool:
    """Whether a difference is one of this run's algorithm and space."""
    return run.algorithm.name in difference.algorithms and difference.applies(run)


def apply_profile(run: "Run") -> None:
    """Set, in a run being made, the fields that its profile means and the run leaves open; and nothing that another
    profile may have left there.
    """
    algorithm = _as_set(run.algorithm)
    implied = algorithm.implied_by(run.dataset, run.images_per_class)
    open_ = {name: value for name, value in implied.items() if name not in algorithm.model_fields_set}
    _set(run, "algorithm", imply(algorithm, **open_) if open_ else algorithm)
    _set(run, "schedule", _as_set(run.schedule))
    if run.profile == "paper":
        return
    for difference in DIFFERENCES:
        if difference.code_value is not None and concerns(difference, run):
            head, _, rest = difference.field.partition(".")
            if rest:
                _set(run, head, _imply_at(getattr(run, head), rest, difference.code_value(run)))
            elif head not in run.model_fields_set:
                _set(run, head, difference.code_value(run))


def _set(run: "Run", field: str, value: Any) -> None:
    # Past the record's freezing, and without counting as set by the user.
    object.__setattr__(run, field, value)


def _as_set(record: R) -> R:
    fields = {name: getattr(record, name) for name in record.model_fields_set}
    set_fields = {name: _as_set(value) if isinstance(value, Record) else value for name, value in fields.items()}
    return type(record)(**set_fields)


def _imply_at(record: Record, path: str, value: Any) -> Record:
    head, _, rest = path.partition(".")
    if rest:
        return imply(record, **{head: _imply_at(getattr(record, head), rest, value)})
    return record if head in record.model_fields_set else imply(record, **{head: value})
