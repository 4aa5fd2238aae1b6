"""Searches such as the engine leaves them, at any moment: real records, accuracies by rule."""

import math
import random

from glad_ray.results import SearchTrial, write_trials
from glad_ray.spec import DM, Evaluation, LearningRates, Network, RandomStyleGAN, Run
from glad_ray.spec.searches.search import Choice, FloatRange, IntRange, Layers, Rung, Search

GENERATOR = RandomStyleGAN(image_channels=1, channel_max=2, num_layers=17)
BACKBONE = Network(width=32)
UNSEEN = (Network(name="alexnet", width=32), Network(name="vit", width=128))
EVALUATION = Evaluation(networks=(BACKBONE, *UNSEEN), repeats=2, epochs=100)
BASE = Run(
    algorithm=DM(iterations=300), space="f2", generator=GENERATOR, held_out=20, backbone=BACKBONE, images_per_class=1
)
VARY = {
    "space": Layers(),
    "algorithm.learning_rates.pixels": FloatRange(low=0.1, high=100, log=True),
    "algorithm.learning_rates.f": FloatRange(low=0.1, high=1000, log=True),
    "algorithm.learning_rates.w": FloatRange(low=0.01, high=10, log=True),
    "algorithm.real_batch_size": IntRange(low=32, high=256),
    "init": Choice(values=("real", "noise", "sampled", "average")),
}
RUNGS = (Rung(share=0.1, epochs=50), Rung(share=0.3, epochs=50), Rung(share=1.0, epochs=100))


def search(**changes):
    fields = {
        "name": "layers",
        "description": "Which layer is best.\n\nCost: an hour.",
        "base": BASE,
        "vary": VARY,
        "trials": 50,
        "rungs": RUNGS,
        "evaluation": EVALUATION,
        "seeds": 3,
    }
    return Search(**fields | changes)


def trial(number, space="f2", accuracies=(), state="complete", rates=(1.0, 10.0, 0.5), batch=64, **fields):
    """A trial with the parameters that its space has."""
    pixels, f, w = rates
    name = "algorithm.learning_rates"
    if space == "pixel":
        start, where = "real", {"space": "pixel", "generator": None}
        drawn = {"space": space, f"{name}.pixels": pixels, "init of pixels": start}
    else:
        start, where = "sampled", {"space": space}
        of_f = {} if space == "w+" else {f"{name}.f": f}
        drawn = {"space": space, **of_f, f"{name}.w": w, "init of latents": start}
    algorithm = DM(iterations=300, real_batch_size=batch, learning_rates=LearningRates(pixels=pixels, f=f, w=w))
    run = BASE.replace(algorithm=algorithm, init=start, **where)
    drawn["algorithm.real_batch_size"] = batch
    return SearchTrial(
        number=number,
        state=state,
        run=run,
        parameters=drawn,
        rung_accuracies=accuracies,
        **{"seconds": 10.0 * len(accuracies) + 1} | fields,
    )


def in_full(accuracy):
    """An evaluation in full with this mean: networks 2 points to both sides of it, repeats 1 to both sides of each."""
    return {
        network.key: (accuracy + shift - 0.01, accuracy + shift + 0.01)
        for network, shift in zip(UNSEEN, (0.02, -0.02), strict=True)
    }


def many_trials(number, seed=0):
    """As a search with halving leaves them: a rate that matters, spaces that matter less, noise; one failed, two under
    way, the best four and two controls in full.
    """
    rng = random.Random(seed)
    spaces = ("pixel", *GENERATOR.spaces)
    trials = []
    for index in range(number):
        space = rng.choice(spaces)
        rates = tuple(10 ** rng.uniform(low, high) for low, high in ((-1, 2), (-1, 3), (-2, 1)))
        rate = rates[0] if space == "pixel" else rates[2]
        level = 0.55 - 0.05 * abs(math.log10(rate) + 0.3) - 0.006 * abs(spaces.index(space) - 5)
        accuracies = [min(1.0, level + gain + rng.gauss(0, 0.015)) for gain in (0, 0.04, 0.08)]
        came = 3 if level > 0.5 else 2 if level > 0.47 else 1
        state = "failed" if index == 5 else "running" if index >= number - 2 else "complete" if came == 3 else "stopped"
        accuracies = accuracies[: 0 if state == "failed" else 1 if state == "running" else came]
        error = "the loss is not finite at step 12: lower the learning rates" if state == "failed" else None
        seconds = 4.0 + 60 * (0, 0.1, 0.3, 1)[len(accuracies)] * rng.uniform(0.8, 1.3)
        batch = rng.choice((32, 64, 128, 256))
        trials.append(trial(index, space, accuracies, state, rates, batch, seconds=seconds, error=error))
    best = sorted((t for t in trials if t.state == "complete"), key=lambda t: t.rung_accuracies[-1])[-4:]
    controls = rng.sample([t for t in trials if t.state == "stopped"], 2)
    full = {t.number: in_full(t.rung_accuracies[-1] + 0.03 + rng.gauss(0, 0.01)) for t in (*best, *controls)}
    return [
        t.replace(
            full=full.get(t.number, {}),
            control=t in controls,
            values=t.rung_accuracies[-1:] if len(t.rung_accuracies) == 3 else (),
        )
        for t in trials
    ]


def write_search(storage, made, trials):
    storage.write_bytes(storage.SEARCH, made.model_dump_json().encode())
    if trials:
        write_trials(storage, trials)
