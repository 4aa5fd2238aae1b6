"""The card of a dataset, README.md: the header in YAML that lists its configurations, files, columns and counts.

What the library reads is read: `configs` with `config_name`, `data_files`, `data_dir` and `default`, and `dataset_info`
with `features` and `splits`; beside README.md also `.huggingface.yaml`, and `dataset_infos.json` of older datasets.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from glad_ray.errors import DataError
from glad_ray.spec.datasets.hugging_face.files import read_text
from glad_ray.spec.datasets.hugging_face.shards import shown

CARD = "README.md"
_STANDALONE = ".huggingface.yaml"
_OLD_INFOS = "dataset_infos.json"
_PREPARED_INFO = "dataset_info.json"
_HEADER = re.compile(r"\s*---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_DEFAULT = "default"
_M = TypeVar("_M", bound=BaseModel)


@dataclass(frozen=True)
class Declared:
    """What is said of a dataset beside its files."""

    source: Path
    """the file that says it"""
    counts: Mapping[str, int] = field(default_factory=dict)
    """numbers of images by split"""
    features: Mapping[str, Any] = field(default_factory=dict)
    """by column, in the form of the library's JSON"""


class _Part(BaseModel):
    model_config = ConfigDict(coerce_numbers_to_str=True)


class _SplitFiles(_Part):
    split: str
    path: str | list[str]


class Config(_Part):
    """One configuration of a card."""

    config_name: str
    data_files: str | list[str] | list[_SplitFiles] | None = None
    data_dir: str | None = None
    default: bool = False

    @property
    def patterns(self) -> dict[str, list[str]] | None:
        """The patterns of file names by split; None: the names of the files tell their splits."""
        match self.data_files:
            case None:
                return None
            case str(pattern):
                return {"train": [pattern]}
        files = [each for each in self.data_files if isinstance(each, _SplitFiles)]
        if not files:
            return {"train": [each for each in self.data_files if isinstance(each, str)]}
        return {each.split: [each.path] if isinstance(each.path, str) else each.path for each in files}


class _SplitInfo(_Part):
    name: str
    num_examples: int | None = None


class _Info(_Part):
    config_name: str = _DEFAULT
    features: dict[str, Any] = Field(default_factory=dict)
    splits: list[_SplitInfo] = Field(default_factory=list)

    @field_validator("features", mode="before")
    @classmethod
    def _by_column(cls, features: Any) -> Any:
        """Those of YAML, a list, in the form that JSON has."""
        if isinstance(features, list):
            return {each.get("name"): _feature(each.get("dtype")) for each in features if isinstance(each, dict)}
        return features or {}

    @field_validator("splits", mode="before")
    @classmethod
    def _as_list(cls, splits: Any) -> Any:
        return list(splits.values()) if isinstance(splits, dict) else splits or []

    def declared(self, source: Path) -> Declared:
        counts = {split.name.lower(): split.num_examples for split in self.splits if split.num_examples is not None}
        return Declared(source, counts, self.features)


class _Header(_Part):
    configs: list[Config] = Field(default_factory=list)
    dataset_info: list[_Info] = Field(default_factory=list)

    @field_validator("configs", "dataset_info", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, dict) else value or []


@dataclass(frozen=True)
class Card:
    """What the card of a dataset says."""

    path: Path
    configs: Mapping[str, Config]
    declared: Mapping[str, Declared]
    """by configuration"""

    def choose(self, wanted: str | None) -> Config:
        """The configuration of that name; None: the only one, or the default, as the library takes it.

        Raises `DataError` naming them.
        """
        names = list(self.configs)
        root = self.path.parent
        if wanted is not None:
            if wanted not in self.configs:
                raise DataError(f"{self.path} lists no configuration {wanted!r}: it has {', '.join(names)}.")
            return self.configs[wanted]
        defaults = [name for name, config in self.configs.items() if config.default or name == _DEFAULT]
        chosen = names if len(names) == 1 else defaults
        if len(chosen) != 1:
            several = f"more than one default ({', '.join(defaults)})" if defaults else "several configurations"
            raise DataError(
                f"{self.path} lists {several}: name one of {', '.join(names)}, for example hf:{root}@{names[0]}."
            )
        return self.configs[chosen[0]]


def read_card(root: Path) -> Card:
    """The card in a folder, empty if there is none; raises `DataError` if it is not understood."""
    path, standalone, old = root / CARD, root / _STANDALONE, root / _OLD_INFOS
    header = {}
    if path.is_file() and (found := _HEADER.match(read_text(path))):
        header = _yaml(found[1], path)
    if standalone.is_file():
        header = {**header, **_yaml(read_text(standalone), standalone)}
    read = _validated(_Header, header, path)
    names = [config.config_name for config in read.configs]
    if twice := {name for name in names if names.count(name) > 1}:
        raise DataError(f"{path} lists the configuration {shown(sorted(twice))} more than once: keep one.")
    for config in read.configs:
        splits = [each.split for each in config.data_files or () if isinstance(each, _SplitFiles)]
        if len({split.lower() for split in splits}) < len(splits):
            raise DataError(f"{path} lists a split of the configuration {config.config_name!r} twice: keep one.")
    declared = {info.config_name: info.declared(path) for info in read.dataset_info}
    if old.is_file():
        infos = _json(old)
        declared = {name: _validated(_Info, info, old).declared(old) for name, info in infos.items()} | declared
    return Card(path, {config.config_name: config for config in read.configs}, declared)


def prepared_info(folder: Path) -> Declared | None:
    """What the library says of files that it has prepared in a folder, of its cache perhaps; None if it has not."""
    path = folder / _PREPARED_INFO
    return _validated(_Info, _json(path), path).declared(path) if path.is_file() else None


class _Loader(yaml.SafeLoader):
    """Refuses a key that a mapping has twice, where YAML's would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        if twice := {key for key in keys if keys.count(key) > 1}:
            raise yaml.YAMLError(f"the key {sorted(twice)[0]} is there twice")
        return super().construct_mapping(node, deep)


def _yaml(text: str, path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(text, _Loader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"The header of {path} is not valid YAML ({reason}): fix it, or fetch it again.") from error
    if content is not None and not isinstance(content, dict):
        raise DataError(f"The header of {path} is not a mapping of names to values: fix it, or fetch it again.")
    return content or {}


def _json(path: Path) -> dict[str, Any]:
    text = read_text(path)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not valid JSON: fetch it again.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is not a JSON object: fetch it again.")
    return content


def _validated(model: type[_M], content: Any, path: Path) -> _M:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(
            f"{path} is not understood at {where or 'its top'} ({first['msg']}): fix it, or fetch it again."
        ) from error


def _feature(dtype: Any) -> dict[str, Any]:
    """A column's type of YAML as JSON has it; empty for what is neither images nor labels."""
    if dtype == "image" or (isinstance(dtype, dict) and "image" in dtype):
        return {"_type": "Image"}
    if isinstance(dtype, dict) and isinstance(dtype.get("class_label"), dict):
        names = dtype["class_label"].get("names")
        if isinstance(names, dict):
            names = [names.get(str(label), names.get(label)) for label in range(len(names))]
        return {"_type": "ClassLabel", "names": names}
    return {}
