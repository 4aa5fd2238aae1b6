"""A synthetic set as a folder that Hugging Face's `datasets` reads: one Parquet file and a dataset card.

What the columns mean lies in the Arrow schema, under the key `huggingface`, where that library looks for it; neither it
nor a network is needed to write it.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from glad_ray.exchange.folders import whole_folder
from glad_ray.exchange.pictures import EIGHT_BIT_NOTE, WHITENED_NOTE, png_files, published_record
from glad_ray.synthetic_set import SyntheticSet
from glad_ray.version import __version__

PARQUET = "data/train-00000-of-00001.parquet"
CARD = "README.md"
_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def write_huggingface(synthetic: SyntheticSet, folder: Path) -> None:
    """Write the set to a new folder that `datasets.load_dataset(folder)` reads; the licence is left to its owner.

    Raises `UserError` if the folder is there and not empty, or cannot be written, or the images are neither grey nor
    RGB.
    """
    table = _table(synthetic)
    with whole_folder(folder) as aside:
        (aside / PARQUET).parent.mkdir()
        pq.write_table(table, aside / PARQUET)
        (aside / CARD).write_text(_card(synthetic), encoding="utf-8")


def _table(synthetic: SyntheticSet) -> pa.Table:
    images = [{"bytes": png, "path": f"{index:05d}.png"} for index, png in enumerate(png_files(synthetic))]
    columns = {"image": pa.array(images, _IMAGE), "label": pa.array(synthetic.labels.tolist(), pa.int64())}
    features: dict[str, Any] = {
        "image": {"_type": "Image"},
        "label": {"names": list(synthetic.class_names), "_type": "ClassLabel"},
    }
    if synthetic.soft_labels is not None:
        soft = synthetic.soft_labels.detach().cpu().float()
        classes = soft.shape[1]
        columns["soft_labels"] = pa.array(soft.tolist(), pa.list_(pa.float32(), classes))
        # Newer versions of the library say List and read both.
        value = {"dtype": "float32", "_type": "Value"}
        features["soft_labels"] = {"feature": value, "length": classes, "_type": "Sequence"}
    table = pa.table(columns)
    return table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})


def _card(synthetic: SyntheticSet) -> str:
    record = published_record(synthetic)
    count, channels, height, width = synthetic.images.shape
    classes = len(synthetic.class_names)
    title = f"{record['dataset']}: {count} synthetic images"
    size = next((name for limit, name in _SIZES if count < limit), "n>1M")
    rows = "\n".join(f"| {label} | {_cell(name)} |" for label, name in enumerate(synthetic.class_names))
    soft = "\n- `soft_labels`: class probabilities that belong to the set" if synthetic.soft_labels is not None else ""
    learned = "" if synthetic.step_size is None else f", with a learned step size of {synthetic.step_size:g}"
    training = (
        f"To train on it, divide by 255; then, by channel, take off {list(synthetic.mean)} and divide by "
        f"{list(synthetic.std)}."
        if synthetic.whitening == "none"
        else f"Note that {WHITENED_NOTE}."
    )
    made = "by other code than glad_ray" if "origin" in record else f"in {synthetic.step} steps{learned}"
    return f"""---
pretty_name: {json.dumps(title)}
task_categories:
- image-classification
size_categories:
- {size}
tags:
- dataset-distillation
configs:
- config_name: default
  data_files:
  - split: train
    path: {PARQUET}
# license: name the licence of this set here, and take away the # before it
---

# {title}

A synthetic training set for `{record["dataset"]}`, in {classes} classes: {count} images of
{channels} x {height} x {width}. Written by glad_ray {__version__}.

```python
from datasets import load_dataset

images = load_dataset("this folder, or the name it was published under", split="train")
```

- `image`: PNG, {EIGHT_BIT_NOTE}.
  {training}
- `label`: the class{soft}

| label | class |
|---|---|
{rows}

## How it was distilled

It was made {made}. The record of it:

```json
{json.dumps(record, indent=2)}
```
"""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
