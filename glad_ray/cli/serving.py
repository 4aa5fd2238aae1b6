"""`glad-ray serve`: a page on sweeps and searches that goes on while they do."""

import webbrowser
from typing import Annotated

import typer

from glad_ray.api.running import say
from glad_ray.errors import UserError
from glad_ray.storage import Storage

DEFAULT_PORT = 8421


def serve(
    storages: Annotated[
        list[str], typer.Argument(metavar="STORAGE...", help="Storages of sweeps or searches: folders or URIs.")
    ],
    host: Annotated[
        str,
        typer.Option(
            help="The address to listen at. At any but this machine's own, a token is needed, which is made if none is "
            "given."
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free.")] = DEFAULT_PORT,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="GLAD_RAY_TOKEN",
            help="What a browser has to know: at least 16 letters, digits and . _ ~ -. In the environment, other users "
            "of this machine do not see it.",
        ),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Show sweeps and searches as a page that goes on while they do, from their storages alone; nothing can be changed
    through it. Ctrl-C ends it.
    """
    try:
        from glad_ray.serve.server import ready
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        raise UserError("The page needs starlette and uvicorn: pip install 'glad-ray[serve]'.") from error
    shown = [Storage.open(each, create=False) for each in storages]
    with ready(shown, host=host, port=port, token=token, tell=say) as server:
        print(f"Open {server.address} in a browser; Ctrl-C ends it.", flush=True)
        if open_browser:
            webbrowser.open(server.address)
        server.run()
