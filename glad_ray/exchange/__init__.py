"""To and from other code: experts and synthetic sets of the older PyTorch code in, sets in three common forms out."""

from glad_ray.exchange.huggingface import write_huggingface
from glad_ray.exchange.image_folder import write_image_folder
from glad_ray.exchange.image_tensors import labels_beside, read_image_tensors, write_image_tensors
from glad_ray.exchange.label_tensors import LabelKind
from glad_ray.exchange.replay_buffers import import_replay_buffers
from glad_ray.exchange.whitened import with_pictures

__all__ = [
    "LabelKind",
    "import_replay_buffers",
    "labels_beside",
    "read_image_tensors",
    "with_pictures",
    "write_huggingface",
    "write_image_folder",
    "write_image_tensors",
]
