"""A sweep on Ray with pretended GPUs: `python -m tests.gpu_rehearsal.on_ray STORAGE`, in a process of its own.

Tells what was shown of tries again and failures.
"""

import sys

from glad_ray.engine.on_ray.run import run_on_ray
from glad_ray.plan import make_plan
from glad_ray.progress.events import Retried, RunFailed
from glad_ray.spec import CustomGenerator, Resources, Share, Sweep
from glad_ray.storage import Storage
from tests.engine import eight_on_one, tiny
from tests.recorded import Recorded
from tests.telling import tell

# In batches of any size, and in parts, an image is the same.
GENERATOR = CustomGenerator(
    name="tests.engine.eight_on_one:generator",
    resolution=32,
    image_channels=1,
    latents={space: tiny.GENERATOR.synthesis_settings.latent_shapes(space) for space in eight_on_one.SPACES},
)
NAMES = ("random", "dm", "mtt", "herding")
RUNS = (
    *(tiny.RUNS[name] for name in NAMES),
    *(tiny.RUNS[name].replace(generator=GENERATOR) for name in ("dc", "dm f3")),
)
NETWORKS = (tiny.BACKBONE, *(tiny.BACKBONE.replace(width=8, depth=depth) for depth in (1, 2)))
SWEEP = Sweep(
    name="on-ray",
    runs=list(RUNS),
    evaluations=(tiny.EVALUATION.replace(networks=NETWORKS, repeats=1, epochs=2),),
    resources=Resources(
        trial=Share(gpus=0.5, cpus=0.4), evaluation=Share(gpus=0.25, cpus=0.4), expert=Share(gpus=0.5, cpus=0.4),
        generator_gpus=0.25,
    ),
)  # fmt: skip


def main(uri):
    """Run the sweep."""
    view = Recorded()
    run_on_ray(make_plan(SWEEP), Storage.open(uri), address="local", view=view)
    told = {
        "retried": [(event.what, event.error) for event in view.of(Retried)],
        "failed": [(event.run.label, event.failure.error) for event in view.of(RunFailed)],
    }
    tell(told)


if __name__ == "__main__":
    main(*sys.argv[1:])
