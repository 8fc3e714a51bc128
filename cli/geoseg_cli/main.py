"""The entry point: commands loaded when they are used, errors as one line, signals, exit codes."""

from __future__ import annotations

import importlib
import shlex
import sys
from collections.abc import Mapping, Sequence

import click

from geoseg.errors import GeosegError
from geoseg_cli.failures import FAILURE, INTERRUPTED, debugging, drop_output, internal, one_line, unprinted, unwritten
from geoseg_cli.options import examples
from geoseg_cli.signals import terminable

COMMANDS: Mapping[str, str] = {
    "predict": "geoseg_cli.predict:predict",
    "vectorize": "geoseg_cli.vectorize:vectorize",
    "train": "geoseg_cli.train:train",
    "evaluate": "geoseg_cli.evaluate:evaluate",
    "run": "geoseg_cli.run:run",
    "schema": "geoseg_cli.run:schema",
    "info": "geoseg_cli.info:info",
    "models": "geoseg_cli.models:models",
    "doctor": "geoseg_cli.doctor:doctor",
}


class LazyGroup(click.Group):
    """Commands whose modules are imported when they are asked for; listed in the order of `COMMANDS`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


def _print_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:
    if wanted:
        from geoseg import __version__

        click.echo(f"geoseg {__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="The version."
)
@click.pass_context
@examples(
    """
    geoseg predict scene.tif --task buildings -o buildings.gpkg
    geoseg vectorize mask.tif -o polygons.gpkg --postprocess buildings
    geoseg train --image town.tif --labels buildings.shp --from buildings -o mine.safetensors
    geoseg evaluate --model town.safetensors --image other.tif --labels other.shp --report report.html
    geoseg info scene.tif
    geoseg models list
    """
)
def cli(ctx: click.Context) -> None:
    """Satellite and aerial imagery in, clean map polygons out.

    Exit codes: 0 done, 2 wrong usage or bad input, 1 failure, 130 interrupted. With GEOSEG_DEBUG=1 in the
    environment, an error comes with its traceback.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def main(args: Sequence[str] | None = None) -> int:
    """The exit code of the command that `args` (those of the process by default) ask for; errors go to stderr."""
    _quieten()
    if sys.stdout is None:  # before hours of work
        return _fail(unwritten() or "", FAILURE)
    code = _run(args)
    unheard = unwritten()
    if unheard is not None:
        drop_output()
    return _fail(unheard, FAILURE) if unheard is not None and code == 0 else code


def _run(args: Sequence[str] | None) -> int:
    """The exit code of a command whose failure has been told."""
    try:
        with terminable():
            typed = shlex.join(["geoseg", *(sys.argv[1:] if args is None else args)])
            status = cli.main(args, prog_name="geoseg", standalone_mode=False, obj=typed)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted", INTERRUPTED, label="")
    except click.UsageError as error:
        place = f"; see  {error.ctx.command_path} --help" if error.ctx else ""
        return _fail(f"{error.format_message().rstrip('.')}{place}", error.exit_code)
    except click.ClickException as error:
        return _fail(error.format_message(), error.exit_code)
    except GeosegError as error:
        return _fail(str(error), error.exit_code)
    except SystemExit as ended:  # click's way out when nobody reads standard output any more
        return ended.code if isinstance(ended.code, int) else FAILURE
    except Exception as error:  # noqa: BLE001  the last line of defence: a user sees one line, not a traceback
        return _fail(unprinted(error) or internal(error), FAILURE)
    return status if isinstance(status, int) else 0


def _fail(message: str, code: int, label: str = " error:") -> int:
    if debugging():
        import traceback

        traceback.print_exc()
    click.echo(f"geoseg:{label} {one_line(message)}", err=True)
    return code


def _quieten() -> None:
    """Keep the chatter of libraries (Python warnings, log records without a handler) off the user's terminal."""
    if debugging():
        return
    import logging
    import warnings

    warnings.simplefilter("ignore")
    logging.lastResort = None
