"""The commands as a whole."""

from __future__ import annotations

import click

from geoseg_cli.main import cli


def all_commands(command: click.Command = cli, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    """Every command by its words, the groups included."""
    found = {path: command}
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            found.update(all_commands(child, (*path, name)))
    return found
