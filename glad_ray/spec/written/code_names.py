"""Code of other people by name, `package.module:callable`, and the keyword arguments that it is given."""

import math
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

from glad_ray.errors import UserError

Option = bool | int | float | str

_CODE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)


def is_code_name(name: str) -> bool:
    """Whether a text is of the form `package.module:callable`."""
    return _CODE.fullmatch(name) is not None


def _code_name(name: str) -> str:
    if not is_code_name(name):
        raise UserError(
            f"{name!r} names no code: it should match pattern package.module:callable, for example mine:Method."
        )
    return name


CodeName = Annotated[str, AfterValidator(_code_name)]


def plain_options(record: str) -> BeforeValidator:
    """Refuses options of a kind of record that are no plain values, in one sentence."""

    def check(options: Any) -> Any:
        for name, value in options.items() if isinstance(options, Mapping) else ():
            if not isinstance(value, Option) or (isinstance(value, float) and not math.isfinite(value)):
                raise UserError(
                    f"{record}.options sets {name} to {value!r}: options are booleans, finite numbers and text; for "
                    "anything else name a function of your own that sets it."
                )
        return options

    return BeforeValidator(check)


def check_option_names(of: str, options: Collection[str], decided: Collection[str], why: str) -> None:
    """Raise `UserError` for a name that is none of an argument, or is that of one that is decided already, and `why`;
    `of`: whose options, `Network.options of timm:create_model`.
    """
    for name in options:
        if name in decided or not (name.isascii() and name.isidentifier()):
            raise UserError(
                f"{of} cannot set {name!r}: options are names of arguments other than {', '.join(decided)}, because "
                f"{why}."
            )
