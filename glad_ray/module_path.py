"""Where Python looks for modules beside a sweep file: after everything that is installed.

Python itself puts the folder of a script first. A file named `queue.py` or `torch.py` there takes the place of that
library, in this process and in every worker. This module undoes that before the first library is imported, and
therefore imports nothing itself until then but `sys` and `os`, which Python has loaded already.
"""

import os
import sys

VARIABLE = "GLAD_RAY_MODULE_FOLDERS"
"""names the folders to processes that this one starts, as a JSON list: the name of a folder may hold any character"""

_FIRST = 0 if sys.flags.safe_path else 1
"""of the entries of `sys.path` that do not depend on the script and the current folder"""
FOUND_BY_ALL = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) in map(os.path.abspath, sys.path[_FIRST:])
"""whether every Python process finds this package, wherever it is started"""


def arrange_at_import() -> None:
    """Put folders of modules after the libraries, as the first act of `import glad_ray`.

    They are the current folder under `python -m glad_ray`, the folder of a sweep file that runs as a script, and those
    that the process which started this one names in the environment. Ends the process with one sentence and exit code
    2 if such a script has already imported a file of its folder in place of a library.
    """
    if sys.path and not sys.flags.safe_path:
        if sys.argv[:1] == ["-m"] and "glad_ray" in sys.orig_argv:
            look_last_in(sys.path[0])
        elif _defines_sweep(sys.modules.get("__main__")):
            folder = sys.path[0]
            look_last_in(folder)
            _refuse_taken_names(folder)
            sys.excepthook = _tell_hidden_file
    for folder in _named():
        _move_last(folder)


def look_last_in(folder: str) -> None:
    """Import modules from a folder too, after all that is installed, in this process and in those it starts."""
    _move_last(folder)
    import json

    # Ray puts the current folder of its driver first in its workers.
    folders = dict.fromkeys([*_named(), os.getcwd(), os.path.abspath(folder)])
    os.environ[VARIABLE] = json.dumps(list(folders))


def hidden_file(module_name: str) -> str:
    """A sentence that names the file beside a sweep file which is not imported as a module of this name, because a
    library is; empty if there is none.
    """
    name = module_name.partition(".")[0]
    module = sys.modules.get(name)
    if module is None or name == "__main__":
        return ""
    for folder in _named():
        for file in (os.path.join(folder, f"{name}.py"), os.path.join(folder, name, "__init__.py")):
            if os.path.isfile(file) and os.path.realpath(file) != os.path.realpath(_file(module)):
                return f"{file} is not imported, because a library has its name: rename the file."
    return ""


def hidden_file_of(error: BaseException) -> str:
    """The sentence of `hidden_file` for the module that an error is about; empty if there is none."""
    if isinstance(error, ImportError) and error.name:
        return hidden_file(error.name)
    if isinstance(error, AttributeError) and isinstance(error.obj, type(sys)):
        return hidden_file(error.obj.__name__)
    return ""


def _named() -> list[str]:
    text = os.environ.get(VARIABLE)
    if not text:
        return []
    import json

    return [str(folder) for folder in json.loads(text)]


def _move_last(folder: str) -> None:
    whole = os.path.abspath(folder)
    sys.path[:] = [*(each for each in sys.path if os.path.abspath(each) != whole), whole]


def _defines_sweep(main: object) -> bool:
    """Whether the script that runs is a sweep file or a search file: it has that name and calls `glad_ray.main`."""
    file = getattr(main, "__file__", None)
    if not isinstance(file, str) or not file.endswith(".py"):
        return False
    try:
        with open(file, "rb") as source:
            code = compile(source.read(), file, "exec", dont_inherit=True)
    except (OSError, SyntaxError, ValueError):
        return False
    names = set(code.co_names)
    return {"glad_ray", "main"} <= names and not names.isdisjoint(("sweep", "search"))


def _refuse_taken_names(folder: str) -> None:
    from importlib.machinery import PathFinder

    start = os.path.join(os.path.abspath(folder), "")
    libraries = [each for each in sys.path if os.path.join(os.path.abspath(each), "") != start]
    for name, module in list(sys.modules.items()):
        file = os.path.abspath(_file(module))
        if name == "__main__" or "." in name or not file.startswith(start):
            continue
        library = PathFinder.find_spec(name, libraries)
        if library is not None and library.origin is not None and os.path.abspath(library.origin) != file:
            _end(f"{file} has the name of the library {name} and was imported in its place: rename the file.")


def _tell_hidden_file(kind: type[BaseException], error: BaseException, trace: object) -> None:
    """What a script's error shows: the sentence of a hidden file, else what Python shows."""
    if sentence := hidden_file_of(error):
        _end(sentence)
    sys.__excepthook__(kind, error, error.__traceback__)


def _end(sentence: str) -> None:
    print(f"glad-ray: {sentence}", file=sys.stderr)
    sys.exit(2)


def _file(module: object) -> str:
    return str(getattr(module, "__file__", None) or "")
