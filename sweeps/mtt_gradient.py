"""Whether MTT's exact gradient makes better synthetic sets than TESLA's in the same time.

Both forms of the gradient at 10, 20 and 50 student steps. Seeds 0 to 2 are for choosing each form's rate of the pixels
out of four, by accuracy on held-out images, so that neither is handicapped by a rate that suits the other (TESLA's
gradients are longer); seeds 3 to 5 are for comparing the forms at the chosen rates on the test set. A step with the
exact gradient takes 1.05 times as long, so TESLA gets 1.05 times the steps on the images. What came out, with all
numbers: docs/results/mtt_gradient.md.

Cost: about 40 minutes on one CPU core, under 2 GiB of memory.

    glad-ray sweep sweeps/mtt_gradient.py
"""

from typing import Literal, get_args

import glad_ray
from glad_ray import MTT, Evaluation, Experts, LearningRates, Network, RandomReal, Run, Sweep, grid

Form = Literal["tesla", "exact"]
FORMS: tuple[Form, ...] = get_args(Form)

BACKBONE = Network(name="convnet", width=32)
EXPERTS = Experts(count=6, epochs=6, batch_size=64)
EXACT_ITERATIONS = {10: 80, 20: 40, 50: 20}
"""by student steps: about 20 seconds each"""
TIME_RATIO = 1.05
"""of a step with the exact gradient to one with TESLA's (benchmarks/mtt_gradient.py)"""
RATES = (100, 300, 1000, 3000)
CHOSEN_RATE = {10: 1000, 20: 300, 50: 300}
"""by student steps: the one with the best mean accuracy on held-out images, the same for both forms"""


def matching(student_steps: int, gradient: Form, rate: float) -> MTT:
    """MTT for as long as the exact gradient's iterations take."""
    exact = EXACT_ITERATIONS[student_steps]
    return MTT(
        iterations=exact if gradient == "exact" else round(exact * TIME_RATIO),
        synthetic_steps=student_steps,
        gradient=gradient,
        expert_epochs=2,
        max_start_epoch=4,
        experts=EXPERTS,
        step_size_lr=1e-5,
        learning_rates=LearningRates(pixels=rate, f=rate, w=rate),
    )


def sweep() -> Sweep:
    """Random real images, every combination of form, student steps and rate, and more seeds at the chosen rates."""
    base = Run(algorithm=RandomReal(), resolution=32, backbone=BACKBONE, held_out=50)
    every = [matching(steps, gradient, rate) for steps in EXACT_ITERATIONS for gradient in FORMS for rate in RATES]
    chosen = [matching(steps, gradient, CHOSEN_RATE[steps]) for steps in EXACT_ITERATIONS for gradient in FORMS]
    return Sweep(
        name="mtt-gradient",
        description=__doc__ or "",
        runs=(
            *grid(base, seed=range(3), algorithm=[RandomReal(), *every]),
            *grid(base, seed=range(3, 6), algorithm=[RandomReal(), *chosen]),
        ),
        evaluations=(Evaluation(networks=(BACKBONE,), repeats=2, epochs=130, learning_rates={"convnet": 0.01}),),
    )


if __name__ == "__main__":
    glad_ray.main()
