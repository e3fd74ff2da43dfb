"""furiosa completion: what a shell needs to complete the commands of the toolchain; how `furiosa` itself is completed.

Shells ask a command by starting it with a variable of click's, such as `_FURIOSACTL_COMPLETE`, and the words so far.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import click

from furiosa.cli.command import Command, run_command
from furiosa.cli.commands import COMMAND_LIST

SHELLS = ("bash", "zsh", "fish")


@click.command(
    cls=Command,
    examples="""
echo 'eval "$(furiosa completion bash)"' >> ~/.bashrc
echo 'eval "$(furiosa completion zsh)"' >> ~/.zshrc     below the line with compinit
furiosa completion fish > ~/.config/fish/conf.d/furiosa.fish""",
)
@click.argument("shell", type=click.Choice(SHELLS), metavar="bash|zsh|fish")
def completion(shell: str) -> str:
    """Print the script that lets a shell complete options, values, files and sub-commands of every executable.

    bash has to be 4.4 or newer.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    nothing = click.Command("furiosa")
    names = ("furiosa", *(name for name, _ in COMMAND_LIST), "furiosactl")
    return "\n".join(kind(nothing, {}, name, variable(name)).source() for name in names)


def variable(command: str) -> str:
    """The environment variable by which a shell asks a command for completions."""
    return f"_{command.replace('-', '_')}_COMPLETE".upper()


def complete(asked: str, helps: Mapping[str, str], run: Callable[[str], int]) -> int:
    """Answer a shell that completes `furiosa`: what is ``asked`` for, such as `bash_complete`.

    ``helps`` are the sub-commands with their help. Behind one of them it is asked in our place: ``run`` runs it.
    """
    from click.shell_completion import get_completion_class

    words = os.environ.get("COMP_WORDS", "").split(None, 1)
    kind = get_completion_class(asked.partition("_")[0])
    if kind is None or not words:
        return 1
    nothing = click.Command("furiosa")
    before, _ = kind(nothing, {}, "furiosa", variable("furiosa")).get_completion_args()
    if before and before[0] in helps:
        del os.environ[variable("furiosa")]
        os.environ["COMP_WORDS"] = words[1]
        if os.environ["COMP_CWORD"].isdigit():
            os.environ["COMP_CWORD"] = str(int(os.environ["COMP_CWORD"]) - 1)
        for command in (f"furiosa {before[0]}", f"furiosa-{before[0]}"):  # our own, and an executable
            os.environ[variable(command)] = asked
        return run(before[0])
    commands = {name: click.Command(name, help=text) for name, text in helps.items()}
    version = click.Option(["--version"], is_flag=True, help="show the version and exit")
    group = click.Group("furiosa", commands=commands, params=[version])
    return run_command(group, "furiosa", [])


def main(arguments: Sequence[str]) -> int:
    """`furiosa completion`: its exit status."""
    return run_command(completion, "furiosa completion", arguments)
