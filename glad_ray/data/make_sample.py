"""Makes the bundled sample from the whole of Fashion-MNIST: `python -m glad_ray.data.make_sample FOLDER OUT`.

The first 400 training and the first 100 test images of every class, in the order of the original files, which come
shuffled. No draw is involved, so that anybody can make the same sample with any tool.
"""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from glad_ray.data.readers.mnist import find, read_mnist
from glad_ray.data.readers.png_table import SCHEMA, encode_png
from glad_ray.errors import UserError
from glad_ray.spec import DATASETS

IMAGES_PER_CLASS = {"train": 400, "test": 100}


def make_sample(folder: Path, out: Path) -> None:
    """Write the sample of the Fashion-MNIST in `folder` to the Parquet file `out`; raises `UserError`."""
    facts = DATASETS["fashion-mnist"]
    rows = []
    for name, count in IMAGES_PER_CLASS.items():
        images, labels = read_mnist(find(facts, folder), name, facts)
        for label in range(facts.classes):
            members = np.flatnonzero(labels == label)[:count]
            if len(members) < count:
                raise UserError(
                    f"{folder} has {len(members)} {name} images of class {label}: the sample takes {count}."
                )
            rows += [
                {"image": encode_png(images[i, 0]), "label": label, "split": name, "source_index": int(i)}
                for i in members
            ]
    about = {
        "source": "Fashion-MNIST, https://github.com/zalandoresearch/fashion-mnist",
        "licence": "MIT, Copyright 2017 Zalando SE",
        "selection": "per class, the first 400 training and the first 100 test images in the order of the files",
    }
    pq.write_table(
        pa.Table.from_pylist(rows, schema=SCHEMA.with_metadata(about)),
        out,
        compression="zstd",
        compression_level=19,
        use_dictionary=["split"],
        write_page_checksum=True,
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m glad_ray.data.make_sample FOLDER OUT")
    make_sample(Path(sys.argv[1]), Path(sys.argv[2]))
