"""A synthetic set as pictures in a folder a class, as torchvision's `ImageFolder` and most tools read them."""

import json
import re
from collections import Counter
from pathlib import Path

from glad_ray.exchange.folders import whole_folder
from glad_ray.exchange.pictures import EIGHT_BIT_NOTE, WHITENED_NOTE, png_files, published_record
from glad_ray.synthetic_set import SyntheticSet

DESCRIPTION = "set.json"
_NAME_CHARACTERS = 60


def write_image_folder(synthetic: SyntheticSet, folder: Path) -> None:
    """Write the set as PNG files of 8 bits a channel to a new folder, with a JSON of what they are.

    The folders of the classes sort in the order of the labels. Raises `UserError` if the folder is there and not empty,
    or cannot be written, or the images are neither grey nor RGB.
    """
    names = [class_folder(label, synthetic.class_names) for label in range(len(synthetic.class_names))]
    description = {
        "classes": [
            {"folder": folder, "label": label, "name": name}
            for label, (folder, name) in enumerate(zip(names, synthetic.class_names, strict=True))
        ],
        "images": f"PNG, {EIGHT_BIT_NOTE}",
        **(
            {"normalisation": {"mean": synthetic.mean, "std": synthetic.std}}
            if synthetic.whitening == "none"
            else {"whitening": WHITENED_NOTE}
        ),
        "soft_labels": None if synthetic.soft_labels is None else "left out: export the set as tensors to have them",
        "run": published_record(synthetic),
    }
    written: Counter[int] = Counter()
    with whole_folder(folder) as aside:
        for name in names:
            (aside / name).mkdir()
        for label, png in zip(synthetic.labels.tolist(), png_files(synthetic), strict=True):
            (aside / names[label] / f"{written[label]:05d}.png").write_bytes(png)
            written[label] += 1
        (aside / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def class_folder(label: int, class_names: tuple[str, ...]) -> str:
    """A file name for a class that is safe everywhere and its own: `0_T-shirt_top`; padded so that names sort."""
    digits = len(str(len(class_names) - 1))
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", class_names[label])[:_NAME_CHARACTERS].strip("._-")
    return f"{label:0{digits}d}_{name}".rstrip("_")
