"""Runs in a space of several layers: H-PD's recorded walks through the loop of every run, hand-overs, what a layer
leaves to the next, and going on after an interruption.
"""

from itertools import pairwise

import numpy as np
import pytest
import torch

from glad_ray import feature_distance
from glad_ray.data import Dataset
from glad_ray.distillation import Inputs, build_space, distill, try_steps
from glad_ray.errors import UserError
from glad_ray.generators import GeneratorSpace, build_generator, cleaned
from glad_ray.generators.stylegan_xl import generator as stylegan
from glad_ray.spec import DM, CustomAlgorithm, CustomGenerator, LearningRates, Network, RandomStyleGAN, Run
from glad_ray.synthetic_set import SyntheticSet
from tests.generators import kinds
from tests.golden_numbers import golden

CPU = torch.device("cpu")
GENERATOR = RandomStyleGAN(image_channels=1, num_layers=4, channel_base=64, channel_max=4, w_dim=8, z_dim=8)
RUN = Run(
    algorithm=DM(iterations=6, real_batch_size=4),
    space="f0>f2>f4",
    generator=GENERATOR,
    backbone=Network(width=4),
    held_out=10,
    checkpoint_every=1,
    snapshots=6,
)
ARRAYS, FACTS = golden("successors/hpd_idc_dream_rded/hpd")


class InterruptedRunError(Exception):
    """Raised in the middle of a run."""


@pytest.fixture(scope="module", autouse=True)
def few_real_images():
    """Of each class, for the feature distance."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(feature_distance, "REAL_IMAGES", 8)
        yield


def distilled(run, dataset, storage, on_progress=lambda progress: None):
    """The sets of a run by step, and its space."""
    space = build_space(run, dataset, build_generator(run.generator, learn=run.learn_generator), CPU)
    distill(Inputs(run, space, dataset, None, CPU), storage, on_progress)
    paths = {step: storage.set_path(run.run_id, step) for step in run.snapshot_steps}
    return {step: SyntheticSet.from_bytes(storage.read_bytes(path), path) for step, path in paths.items()}, space


def relative(found, expected):
    return float((found - torch.from_numpy(expected)).norm() / np.linalg.norm(expected))


@pytest.mark.parametrize("case", FACTS["walk"])
def test_recorded_walk(case, storage):
    facts = FACTS["walk"][case]
    layers, steps, walked = facts["style_layers"], facts["steps_per_layer"], facts["layers_walked"]
    prior = CustomGenerator(
        name="tests.generators.own_generators:chain",
        resolution=4,
        latents={f"f{n}": {"f": (3, 4, 4), "w": (layers - n, 4)} for n in range(1, layers)},
        layered=True,
        options={
            "images": facts["images"],
            "layers": layers,
            "amplitude": facts["input_amplitude"],
            "stream": facts["ws_stream"],
        },
    )
    images = np.zeros((facts["images"], 3, 4, 4), np.uint8)
    labels = np.arange(facts["images"])
    dataset = Dataset(
        name="cifar10",
        train_images=images, train_labels=labels, held_out_images=images[:0], held_out_labels=labels[:0],
        test_images=images, test_labels=labels, class_names=tuple(map(str, labels)),
        mean=(0.0,) * 3, std=(1.0,) * 3,
    )  # fmt: skip
    run = Run(
        dataset="cifar10",
        algorithm=CustomAlgorithm(
            name="tests.own_algorithms:Recorded",
            iterations=steps * len(walked),
            learning_rates=LearningRates(pixels=1, f=facts["lr_feature"], w=facts["lr_w"]),
            options={"steps_per_layer": steps},
        ),
        space=f"f1>..>f{layers - 1}",
        schedule={"choice": "last"},
        generator=prior,
        snapshots=steps * len(walked),
    )
    assert run.last_steps == tuple(steps * (1 + index) for index in range(len(walked)))
    sets, space = distilled(run, dataset, storage)
    latents = space.init(torch.arange(facts["images"]), torch.Generator())
    assert relative(latents["f"], ARRAYS[f"walk/{case}/f_start"]) < 1e-6
    network = space.generator.network
    w = network.ws.float()
    for index, n in enumerate(walked):
        expected = {
            name: ARRAYS[f"walk/{case}/layer{n}_{name}"] for name in ("first_image", "f_end", "w_end", "handed_over")
        }
        assert relative(space.decode(latents), expected["first_image"]) < 1e-5
        end = sets[steps * (1 + index)].latents
        w = torch.cat([w[:, : n + 1], end["w"]], 1)
        assert relative(end["f"], expected["f_end"]) < 1e-5
        assert relative(w, expected["w_end"]) < 1e-5
        if n == walked[-1]:
            latents = network.hand_over(f"f{n}", f"f{n + 1}", end)
        else:
            latents = space.hand_over(end)
            space = space.later()
        assert relative(latents["f"], expected["handed_over"]) < 1e-5
        assert torch.equal(latents["w"], end["w"][:, 1:])


def test_recorded_cleaning():
    assert np.array_equal(cleaned(torch.from_numpy(ARRAYS["clean/in"])).numpy(), ARRAYS["clean/out"])


CONDITIONAL = GENERATOR.replace(kernel_size=1, classes=10, seed=1)
LAYERED = [
    pytest.param(GENERATOR, "w+>f0>f2>f3>f4", False, id="random"),
    pytest.param(GENERATOR, "f0>..>f4", True, id="learning"),
    pytest.param(GENERATOR, "w+>f1>f4", True, id="learning from w+"),
    pytest.param(kinds.stylegan_file(CONDITIONAL), "f1>f3", False, id="file"),
    pytest.param(kinds.autoencoder(32), "f0>f1>f3>f4", False, id="autoencoder"),
]


@pytest.mark.parametrize(("generator", "space", "learn"), LAYERED)
def test_a_hand_over_leaves_the_images_as_they_are(generator, space, learn, sample, monkeypatch):
    """In float64, where nothing is cleaned."""
    monkeypatch.setattr(stylegan, "cleaned", lambda f: f)
    run = RUN.replace(generator=generator, space=space, learn_generator=learn, algorithm=DM(iterations=9))
    made = build_generator(generator, learn=learn, dtype=torch.float64, memory_gib=0.27)
    at = build_space(run, sample, made, CPU)
    latents = {kind: value.double() for kind, value in at.init(torch.arange(10), torch.Generator()).items()}
    images = at.decode(latents)
    for before, later in pairwise(run.spaces):
        handed = at.hand_over(latents)
        at = at.later()
        assert at.space == later
        shapes = {kind: tuple(value.shape[1:]) for kind, value in handed.items() if kind != "g"}
        assert shapes == generator.latent_shapes(later) != generator.latent_shapes(before)
        if learn:
            assert handed["g"].shape == (generator.synthesis_settings.parameters_from(later),)
        assert all(value.dtype == torch.float64 and value.is_contiguous() for value in handed.values())
        assert all(value.data_ptr() != latents[kind].data_ptr() for kind, value in handed.items() if kind in latents)
        assert (at.decode(handed) - images).abs().max() < 1e-10
        grads = at.pullback(handed, torch.ones_like(images))
        assert grads.keys() == handed.keys()
        latents = handed
    with pytest.raises(UserError, match="is the last layer"):
        at.later()


def test_hand_overs_of_weights_that_moved_use_them(monkeypatch):
    """The layers that are left compute with the weights that were learned, not with those of the file."""
    monkeypatch.setattr(stylegan, "cleaned", lambda f: f)
    made = build_generator(GENERATOR, learn=True, dtype=torch.float64)
    latents = made.init("f1", torch.arange(3), torch.Generator(), "sampled")
    latents = {kind: 1.1 * value.double() for kind, value in latents.items()}
    images = made.decode("f1", latents)
    assert (made.decode("f3", made.hand_over("f1", "f3", latents)) - images).abs().max() < 1e-10
    frozen = build_generator(GENERATOR, dtype=torch.float64)
    without = {kind: value for kind, value in latents.items() if kind != "g"}
    assert (frozen.decode("f1", without) - images).abs().max() > 1e-3


def test_large_maps_are_cleaned_on_the_way(sample):
    made = build_generator(GENERATOR)
    latents = made.init("f1", torch.arange(2), torch.Generator(), "sampled")
    latents["f"] *= 1e4
    assert float(made.hand_over("f1", "f2", latents)["f"].abs().max()) == 10


def test_a_generator_without_hand_over_is_refused():
    made = build_generator(kinds.BLOBS)
    with pytest.raises(UserError, match="cannot hand latents of z over to z"):
        made.hand_over("z", "z+", made.init("z", torch.arange(2), torch.Generator(), "sampled"))
    with pytest.raises(UserError, match="has no hand_over"):
        build_generator(kinds.BLOBS.replace(layered=True))
    network = build_generator(GENERATOR).network
    with pytest.raises(UserError, match="name a later layer"):
        network.hand_over("f2", "f1", {})


@pytest.mark.parametrize("choice", ["nearest", pytest.param("last", marks=pytest.mark.full)])
def test_momenta_begin_at_zero_in_every_layer_and_latents_are_handed_over(choice, sample, storage):
    """The loop written out: what is handed over, and each layer's first step, which has no momentum."""
    rates = LearningRates(pixels=1, f=30, w=3)
    run = RUN.replace(schedule={"choice": choice}, algorithm=RUN.algorithm.replace(learning_rates=rates))
    sets, space = distilled(run, sample, storage)
    assert run.last_steps == (2, 4, 6)
    seen = recorded_matches(run, sample)
    for number in (0, 1):
        left, at = sets[run.last_steps[number]].latents, space
        for _ in range(number):
            at = at.later()
        handed = at.hand_over(left)
        images, grads = seen[run.last_steps[number]]
        assert torch.equal(at.later().decode(handed), images)
        pulled = at.later().pullback(handed, grads)
        for kind in handed:
            stepped = handed[kind] - rates.model_dump()[kind] * pulled[kind]
            torch.testing.assert_close(sets[run.last_steps[number] + 1].latents[kind], stepped, rtol=1e-5, atol=1e-6)


def recorded_matches(run, sample):
    """Images and their gradients at every step of a run."""
    from glad_ray import distillation
    from glad_ray.algorithms import build_algorithm
    from glad_ray.checkpoints import DistillationState

    inputs = Inputs(run, build_space(run, sample, build_generator(run.generator), CPU), sample, None, CPU)
    algorithm, seen = build_algorithm(run, sample, None, CPU), []
    match = algorithm.match

    def noted(images, *rest):
        found = match(images, *rest)
        seen.append((images.clone(), found.image_grads))
        return found

    algorithm.match = noted
    state = distillation._first_state(inputs)
    assert isinstance(state, DistillationState)
    for _ in range(run.steps):
        distillation._step(run.algorithm, state, inputs.layers, algorithm, inputs.labels, 1.0)
    return seen


def test_the_nearest_step_is_what_a_layer_leaves(sample, storage, monkeypatch):
    """Distances are made up: the second step of the first layer, the end of the second, the start of the third."""
    made_up = {0: [5.0, 1.0, 3.0], 1: [9.0, 8.0, 7.0], 2: [2.0, 2.0, 2.5]}
    asked = []

    def of(self, images, labels, layer, step):
        asked.append((layer, step))
        return torch.tensor(made_up[layer][step - 2 * layer])

    monkeypatch.setattr(feature_distance.FeatureDistance, "of", of)
    rates = LearningRates(pixels=1, f=30, w=3)
    run = RUN.replace(algorithm=RUN.algorithm.replace(learning_rates=rates))
    sets, space = distilled(run, sample, storage)
    assert asked == [(0, 0), (0, 1), (0, 2), (1, 2), (1, 3), (1, 4), (2, 4), (2, 5), (2, 6)]
    last, _ = distilled(run.replace(schedule={"choice": "last"}), sample, type(storage).open(storage.uri + "-last"))

    def same(found, expected):
        return all(torch.equal(found[kind], value) for kind, value in expected.items())

    # Back from two steps to one; the second layer keeps its last step, the third goes back to what it was given.
    assert same(sets[2].latents, sets[1].latents)
    assert not same(last[2].latents, last[1].latents)
    assert not same(sets[4].latents, sets[3].latents)
    assert same(sets[6].latents, space.later().hand_over(sets[4].latents))
    assert not same(sets[6].latents, sets[5].latents)


@pytest.mark.parametrize(
    ("until", "choice"),
    [
        (2, "nearest"),
        (3, "nearest"),
        (2, "last"),
        *(pytest.param(*each, marks=pytest.mark.full) for each in ((1, "nearest"), (5, "nearest"), (3, "last"))),
    ],
)
def test_a_run_goes_on_bit_for_bit_wherever_it_was_interrupted(until, choice, sample, storage, whole):
    """In a layer, at its end and after its first step."""
    run, expected = whole[choice]

    def interrupt(progress):
        if progress.step == until:
            raise InterruptedRunError

    with pytest.raises(InterruptedRunError):
        distilled(run, sample, storage, interrupt)
    steps = []
    resumed, _ = distilled(run, sample, storage, lambda progress: steps.append(progress.step))
    assert steps == list(range(until + 1, 7))
    for step, each in resumed.items():
        assert torch.equal(each.images, expected[step].images)
        assert all(torch.equal(each.latents[kind], value) for kind, value in expected[step].latents.items())


@pytest.fixture(scope="module")
def whole(sample, tmp_path_factory):
    from glad_ray.storage import Storage

    rates = LearningRates(pixels=1, f=30, w=3)
    runs = {
        choice: RUN.replace(schedule={"choice": choice}, algorithm=RUN.algorithm.replace(learning_rates=rates))
        for choice in ("nearest", "last")
    }
    storages = {choice: Storage.open(tmp_path_factory.mktemp(choice)) for choice in runs}
    return {choice: (run, distilled(run, sample, storages[choice])[0]) for choice, run in runs.items()}


def test_a_set_holds_the_latents_of_the_last_layer_and_its_bytes_are_theirs(whole):
    run, sets = whole["nearest"]
    latents = sets[run.steps].latents
    assert {kind: tuple(value.shape[1:]) for kind, value in latents.items()} == GENERATOR.latent_shapes("f4")
    assert run.set_bytes == sum(4 * value.numel() for value in latents.values())
    assert run.layer == 4


def test_steps_that_are_tried_for_their_memory_may_cross_a_layer(sample):
    run = RUN.replace(algorithm=RUN.algorithm.replace(iterations=3))
    try_steps(Inputs(run, build_space(run, sample, build_generator(GENERATOR), CPU), sample, None, CPU))


def test_a_space_of_layers_that_a_generator_lacks_is_refused():
    made = build_generator(GENERATOR)
    with pytest.raises(UserError, match="no latent space 'f9'"):
        GeneratorSpace(made, "f1>f9", init="sampled", mean=(0.0,), std=(1.0,))
