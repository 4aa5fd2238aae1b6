"""Which names a generator file may hold. None is ever imported: a name only labels what the file says it made.

Python's standard library, torch and numpy hold everything an attack would want, and a generator needs few of their
names: those are listed, the rest is refused wherever it stands. Names of other packages (a discriminator's feature
networks) are as harmless as any label.
"""

import re
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

from glad_ray.stylegan.refusal import RefusalError, shown

_LONGEST = 1024

_STANDARD = re.compile(
    r"(collections|datetime|enum|math|pathlib|typing|uuid)(\.\w+)+"
    r"|logging\.(Logger|getLogger)|re\._compile|random\.Random"
    r"|functools\.partial"
    r"|types\.(SimpleNamespace|MethodType)"
    r"|copyreg\.(_reconstructor|__newobj__|__newobj_ex__)"
    r"|_codecs\.encode"
    r"|builtins\.(__main__|NotImplemented|Ellipsis|getattr|setattr|hasattr|type|object|super|property|staticmethod|classmethod"
    r"|bool|int|float|complex|str|bytes|bytearray|list|tuple|dict|set|frozenset|slice|range"
    r"|abs|all|any|len|max|min|round|sum|print|isinstance|zip|map|filter|enumerate|reversed|sorted)"
)
_TORCH = re.compile(
    r"torch\.(Size|device|dtype|layout|memory_format|Tensor|Generator|[A-Z]\w*(Storage|Tensor)"
    r"|bool|u?int\d+|float\d+\w*|complex\d+|bfloat16|half|float|double|long|int|short"
    r"|strided|contiguous_format|channels_last|preserve_format|relu|sigmoid|tanh|softmax)"
    r"|torch(\.ao)?\.nn(\.\w+)+"
    r"|torch\._C\._nn\.\w+"
    r"|torch\.storage\.\w+"
    r"|torch\._utils\._rebuild_\w+"
    r"|torch\._tensor\._rebuild_\w+"
    r"|torch\.utils\.hooks\.\w+"
)
_NUMPY = re.compile(
    r"numpy\.(dtype|ndarray|bool_?|u?int\d+|float\d+|core\.multiarray\.(scalar|_reconstruct)|core\.numeric\._frombuffer)"
)
_DILL = re.compile(
    r"dill\._?dill"
    r"|dill\._?dill\.(_load_type|_import_module|_get_attr|_setattr|_setitems)"
    r"|dill\._?dill\._create_"
    r"(array|cell|code|dtypemeta|function|lock|namedtuple|rlock|type|typing_tuple|weakref|weakproxy)"
)
_STORAGE = re.compile(r"torch\.[A-Z]\w*Storage|torch\.storage\.(Untyped|Typed|_Untyped|_Typed)Storage")
_LISTED = {"torch": _TORCH, "numpy": _NUMPY, "dill": _DILL}


def network_name(module: str, name: str) -> str:
    """`module.name` as today's Python and numpy 1 spell it; raises `RefusalError` for one that no generator needs."""
    full = _full_name(module, name)
    root = full.partition(".")[0]
    listed = _STANDARD if root in sys.stdlib_module_names else _LISTED.get(root)
    if listed is not None and not listed.fullmatch(full):
        raise _unneeded(full)
    return full


def storage_name(module: str, name: str) -> str:
    """The same for the inside of a tensor's storage, which needs the storage classes of torch alone."""
    full = _full_name(module, name)
    if not _STORAGE.fullmatch(full):
        raise _unneeded(full)
    return full


def _full_name(module: str, name: str) -> str:
    if not module or not name or len(module) + len(name) > _LONGEST:
        raise RefusalError("names something that has no sensible name, as no generator does")
    # Pickles of protocols below 3 use the names of Python 2.
    module, name = NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))
    return f"{module}.{name}".replace("numpy._core.", "numpy.core.", 1)


def _unneeded(full: str) -> RefusalError:
    return RefusalError(
        f"names {shown(full)}, which no generator needs and code hidden in a file may: get it from its authors"
    )
