"""Promises about the command line. `python -m tests.shape.test_commands` writes docs/commands.md anew."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

from gatekeeper.cli.main import main

DOCS = Path(__file__).parents[2] / "docs" / "commands.md"
_HEAD = """# Commands

What `gatekeeper ... --help` says, on one page. Every command works on the hub whose settings it finds
([settings.md](settings.md)): run it as the hub's user with the hub's environment. All but `serve`, `demo`,
`db upgrade`, `db reseal` and `db restore` may run beside a running server, and what they change binds there on the
next request. Where there is an option `--json`, it prints the answer for machines. A refusal is a sentence on standard
error and exit status 1; a command that is not understood exits with 2.
"""


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command below `command` in the order of names, groups before what they hold."""
    yield path, command
    if isinstance(command, click.Group):
        for name, each in sorted(command.commands.items()):
            yield from commands(each, f"{path} {name}")


def options(command: click.Command) -> list[click.Option]:
    """What the page tells of a command's options; `--json` is the same everywhere."""
    return [
        each for each in command.params if isinstance(each, click.Option) and each.name not in ("as_json", "version")
    ]


def documented() -> str:
    """The page, as docs/commands.md must be."""
    parts = [_HEAD]
    for path, command in commands(main, "gatekeeper"):
        if command is main:
            continue
        text = inspect.cleandoc(command.help or "")
        if isinstance(command, click.Group):
            parts.append(f"## {path}\n\n{text}\n")
            continue
        context = click.Context(command, info_name=path)
        taken = [each.make_metavar(context) for each in command.params if isinstance(each, click.Argument)]
        depth = "##" if path.count(" ") == 1 else "###"
        told = [_option(each, context) for each in options(command)]
        parts.append("\n".join([f"{depth} `{' '.join([path, *taken])}`", "", text, *([""] if told else []), *told, ""]))
    return "\n".join(parts)


def _option(option: click.Option, context: click.Context) -> str:
    name, text = option.get_help_record(context) or ("", "")
    return f"- `{name}` {' '.join(text.split())}"


def test_every_command_and_option_says_what_it_does() -> None:
    silent = [path for path, each in commands(main, "gatekeeper") if not each.help]
    silent += [
        f"{path} {each.opts[0]}"
        for path, command in commands(main, "gatekeeper")
        for each in options(command)
        if not each.help
    ]
    assert silent == []


def test_every_command_is_documented_as_it_is() -> None:
    assert DOCS.read_text() == documented(), "run `python -m tests.shape.test_commands`"


if __name__ == "__main__":
    DOCS.write_text(documented())
