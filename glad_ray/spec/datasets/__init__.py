"""Facts about the datasets: what a plan needs to know before any image is decoded.

Those in `DATASETS` have names; a user's own are named by where they lie, `folder:PATH` or `hf:PATH`, and what they are
is read there.
"""

import functools

from glad_ray.errors import unknown
from glad_ray.spec.datasets import folder, hugging_face
from glad_ray.spec.datasets.facts import DatasetFacts
from glad_ray.spec.datasets.imagenet import IMAGENET
from glad_ray.spec.datasets.of_one_size import OF_ONE_SIZE

__all__ = ["DATASETS", "DatasetFacts", "dataset_facts"]

DATASETS: dict[str, DatasetFacts] = {facts.name: facts for facts in (*OF_ONE_SIZE, *IMAGENET)}
_OWN = {folder.PREFIX: folder.folder_facts, hugging_face.PREFIX: hugging_face.hugging_face_facts}


def dataset_facts(name: str) -> DatasetFacts:
    """The facts of a dataset by name; of the user's own as they were when first asked for.

    Raises `UserError` naming the nearest known one, `DataError` if what lies at a path is no dataset.
    """
    if any(name.startswith(prefix) for prefix in _OWN):
        return _own_facts(name)
    if name not in DATASETS:
        raise unknown("dataset", name, [*DATASETS, *(f"{prefix}PATH" for prefix in _OWN)])
    return DATASETS[name]


@functools.cache
def _own_facts(name: str) -> DatasetFacts:
    return next(read(name) for prefix, read in _OWN.items() if name.startswith(prefix))
