"""Commands whose help shows examples first, and whose misspelt sub-commands get a suggestion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from furiosa.cli.errors import emit
from furiosa.isa.errors import OptionError, did_you_mean

T = TypeVar("T")

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


class Command(click.Command):
    """A command with ``examples``: lines of a command, and what it is for behind two spaces or more."""

    def __init__(self, *arguments: Any, examples: str, **options: Any) -> None:
        self.examples = [line for line in examples.splitlines() if line]
        super().__init__(*arguments, **{"context_settings": _SETTINGS, **options})

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, and what the command does."""
        with formatter.section("Examples"):
            for line in self.examples:
                formatter.write(f"{'':{formatter.current_indent}}{line}\n")
        super().format_help_text(ctx, formatter)


class Group(Command, click.Group):
    """A command with sub-commands; without one it shows its help."""

    command_class = Command

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"invoke_without_command": True, **options})

    def invoke(self, ctx: click.Context) -> Any:
        """What the sub-command returns; the help when there is none."""
        result = super().invoke(ctx)
        return ctx.get_help() if ctx.invoked_subcommand is None else result

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises OptionError for an unknown sub-command, with the nearest known one."""
        if args[0] not in self.commands and not args[0].startswith("-") and not ctx.resilient_parsing:
            hint = did_you_mean(args[0], self.commands) or f"`{ctx.command_path} --help` lists them"
            raise OptionError(f"`{ctx.command_path}` has no sub-command `{args[0]}`", hint=hint)
        return super().resolve_command(ctx, args)


def target_npu(metavar: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """The option `--target-npu`."""
    return click.option(
        "--target-npu", default="warboy-2pe", show_default=True, metavar=metavar, shell_complete=_targets,
        help="warboy (one PE) or warboy-2pe (both PEs, fused).",
    )  # fmt: skip


def _targets(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from furiosa.isa.target import names

    return [name for name in names() if name.startswith(incomplete)]


def run_command(command: click.Command, name: str, arguments: Sequence[str]) -> int:
    """Run a command, print the text that it returns, and give its exit status. Raises what the command raises."""
    result = command.main([*arguments], prog_name=name, standalone_mode=False)
    if isinstance(result, str):
        emit(result)
        return 0
    return int(result or 0)
