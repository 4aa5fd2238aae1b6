"""Datasets of Hugging Face on the disk, as `save_to_disk`, `push_to_hub` and the hub's cache have them."""

import json
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.data.trees import encoded, noise

CLASSES = ("no", "yes")
SIDE = 8
KIND = pa.struct({"bytes": pa.binary(), "path": pa.string()})


def table(rows, seed, image="image", label="label", more=(), features=True):
    """Images of both classes in turn, that no other seed has; `more` are further columns with their kinds, `Image` or
    `ClassLabel`; without `features` the schema says nothing of any of them.
    """
    cells = [{"bytes": encoded(noise((SIDE, SIDE), 1000 * seed + row)), "path": None} for row in range(rows)]
    images = {name: pa.array(cells, KIND) for name in (image, *(name for name, kind in more if kind == "Image"))}
    labels = [row % len(CLASSES) for row in range(rows)]
    named = {name: pa.array(labels, pa.int64()) for name in (label, *(n for n, kind in more if kind == "ClassLabel"))}
    metadata = {name: {"_type": "Image"} for name in images}
    metadata |= {name: {"_type": "ClassLabel", "names": list(CLASSES)} for name in named}
    made = pa.table(images | named)
    return made.replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": metadata}})} if features else None
    )


def parquet(root, files, **columns):
    """Parquet files by path with their numbers of rows, every one with images of its own."""
    for name, rows in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table(rows, seed=zlib.crc32(name.encode()), **columns), path)
    return root


def arrow(path, rows, seed):
    """An Arrow stream, as `save_to_disk` and `map` write them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    made = table(rows, seed)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, made.schema) as writer:
        writer.write_table(made)


def save_dataset(folder, shards, seed=0, **state):
    """A `Dataset` of shards of so many rows, saved in a folder."""
    names = [f"data-{number:05d}-of-{len(shards):05d}.arrow" for number in range(len(shards))]
    for number, (name, rows) in enumerate(zip(names, shards, strict=True)):
        arrow(folder / name, rows, seed + number)
    state = {"_data_files": [{"filename": name} for name in names], "_fingerprint": "cf3fd3239319b3ff"} | state
    (folder / "state.json").write_text(json.dumps(state))
    # The counts are those of before `filter`, which the library leaves as they were.
    splits = {"train": {"name": "train", "num_examples": 999}}
    (folder / "dataset_info.json").write_text(json.dumps({"features": {}, "splits": splits}))


def save_dict(root, **splits):
    """A `DatasetDict` of splits with shards of so many rows, saved in a folder."""
    for number, (name, shards) in enumerate(splits.items()):
        save_dataset(root / name, shards, seed=10 * number)
    (root / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}))
    return root


def card(root, header):
    """README.md with a header in YAML."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "README.md").write_text(f"---\n{header}\n---\n# A dataset\n")
    return root


def configs(root, *names, **more):
    """A card of configurations, each in the folder of its name; `more` are lines of one of them."""
    lines = ["configs:"]
    for name in names:
        lines += [f"- config_name: {name}", "  data_files:"]
        for split in ("train", "test"):
            lines += [f"  - split: {split}", f"    path: {name}/{split}-*"]
        lines += [f"  {line}" for line in more.get(name, ())]
    return card(root, "\n".join(lines))


def sharded(split, *rows):
    return {f"data/{split}-{index:05d}-of-{len(rows):05d}.parquet": count for index, count in enumerate(rows)}


def hub_cache(root, revisions=("a1",)):
    """As the hub's client keeps a dataset: links to files that are named by their content."""
    for revision in revisions:
        for split, rows in {"train": 3, "test": 2}.items():
            blob = root / "blobs" / f"{revision}{split}"
            link = root / "snapshots" / revision / f"data/{split}-00000-of-00001.parquet"
            blob.parent.mkdir(parents=True, exist_ok=True)
            link.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table(rows, seed=len(blob.name)), blob)
            link.symlink_to(Path("../../../blobs") / blob.name)
    return root


_DESCRIBED = """
dataset_info:
  features:
  - name: image
    dtype: image
  - name: label
    dtype:
      class_label:
        names:
          '0': '{first}'
          '1': 'yes'
  splits:
  - name: train
    num_examples: {rows}
  - name: test
    num_examples: 2
"""


def described(first, rows):
    """The header of a card that describes columns and counts: the first class, and the number of training images."""
    return _DESCRIBED.format(first=first, rows=rows)
