"""What a process tells the test that started it: lines of JSON in a file of their own.

Its standard output is no place for them: Ray prints there as well, even between a line and its end.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TELLS_TO = "GLAD_RAY_TEST_TELLS_TO"
"""the variable that names the file"""


def tell(value: Any) -> None:
    """Called in the process: adds a value."""
    with open(os.environ[TELLS_TO], "a") as file:
        file.write(json.dumps(value) + "\n")


def told_by(
    words: Sequence[str], env: dict[str, str] | None = None, must_end_well: bool = True, **options: Any
) -> list[Any]:
    """Run a process to its end; returns all that it told, in order. `options` are those of `subprocess.run`."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "told")
        file.touch()
        env = (os.environ if env is None else env) | {TELLS_TO: str(file)}
        ended = subprocess.run(words, capture_output=True, text=True, env=env, check=False, **options)
        assert ended.returncode == 0 or not must_end_well, ended.stderr
        return [json.loads(line) for line in file.read_text().splitlines()]
