"""NCFM: its paper and its released code."""

from glad_ray.spec.profiles.difference import Difference

NCFM: tuple[Difference, ...] = (
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
)  # fmt: skip
