"""furiosa: the meta command, which runs the executables of the toolchain as sub-commands."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from furiosa.cli.commands import COMMAND_LIST, OWN_COMMANDS
from furiosa.isa.errors import OptionError, did_you_mean

if TYPE_CHECKING:
    import argparse

EXAMPLES = """\
examples:
  furiosa compile model.onnx -o model.enf
  furiosa litmus model.onnx              does this model work?
  furiosa ops --search conv              what the NPU runs
  furiosa compile --help                 the options of a sub-command"""

_COMPLETE = "_FURIOSA_COMPLETE"  # set by a shell that wants to know what may follow

_HINT = "`furiosa --help` lists the options and sub-commands"
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


@dataclass(frozen=True)
class Command:
    """One executable that was found: its name, the words after ``furiosa`` that mean it, its path, and its help."""

    command: str
    subcommands: tuple[str, ...]
    path: Path
    description: str


@dataclass
class CommandRegistry:
    """The sub-commands that can be run here: the executables of ``COMMAND_LIST`` that are on PATH."""

    commands: dict[str, Command] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, description in COMMAND_LIST:
            if path := _find(name):
                subcommand = _subcommand(name)
                self.commands.setdefault(subcommand, Command(name, (subcommand,), path, description))


def main() -> int:
    """The console script: its exit status."""
    from furiosa.cli.errors import run

    return run(lambda: _main(sys.argv[1:]))


def execute(registry: CommandRegistry, args: argparse.Namespace, remainings: Sequence[str]) -> int:
    """Run ``args.subcommand`` with exactly the arguments ``remainings`` and return its exit status.

    The child has this process's streams and environment. Signals that would end this process are forwarded, and the
    child is waited for. The status of a child that a signal ended is 128 plus the signal's number, as in a shell.
    """
    path = str(registry.commands[args.subcommand].path)
    waited = {*_FORWARDED, signal.SIGCHLD}
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, waited)
    try:
        child = os.posix_spawn(path, [path, *remainings], os.environ, setsigmask=previous)
        return _wait(child, waited)
    except OSError as error:
        raise OptionError(f"cannot run `{path}`: {error.strerror}") from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


def _wait(child: int, waited: set[signal.Signals]) -> int:
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        received = signal.sigwaitinfo(waited)
        # A terminal's Ctrl-C has reached the child already: it would see a second one as "do not even clean up".
        if received.si_signo != signal.SIGCHLD and received.si_code <= 0:
            os.kill(child, received.si_signo)


def _main(arguments: Sequence[str]) -> int:
    registry = CommandRegistry()
    if asked := os.environ.get(_COMPLETE):
        from furiosa.cli.completion import complete

        return complete(asked, _helps(registry), lambda subcommand: _run(subcommand, registry, []))
    parser = _parser(registry)
    # argparse never sees what follows the sub-command: it would consume `--` and complete abbreviations.
    position = next((i for i, text in enumerate(arguments) if not text.startswith("-")), len(arguments))
    if position < len(arguments) and arguments[position] not in {**registry.commands, **OWN_COMMANDS}:
        raise _absent(arguments[position], registry)
    args = parser.parse_args(arguments[: position + 1])
    if args.version:
        return _emit(_version())
    if args.subcommand is None:
        return _emit(parser.format_help().rstrip("\n"))
    return _run(args.subcommand, registry, arguments[position + 1 :])


def _run(subcommand: str, registry: CommandRegistry, arguments: Sequence[str]) -> int:
    """Run a sub-command, of our own or an executable, and return its exit status."""
    from argparse import Namespace
    from importlib import import_module

    if subcommand in OWN_COMMANDS:
        module, _ = OWN_COMMANDS[subcommand]
        return int(import_module(module).main(arguments))
    return execute(registry, Namespace(subcommand=subcommand), arguments)


def _helps(registry: CommandRegistry) -> dict[str, str]:
    """What can be run here, with its help."""
    found = {name: command.description for name, command in registry.commands.items()}
    return found | {name: text for name, (_, text) in OWN_COMMANDS.items()}


def _version() -> str:
    """The version as SDK scripts read it, with a warning line when only the slow reference kernels are there."""
    from furiosa.isa.version import version_info
    from furiosa.npu_sim.kernels import REFERENCE, choose

    kernels = choose()
    return f"{version_info()}\nkernels: {kernels}" if kernels == REFERENCE else str(version_info())


def _parser(registry: CommandRegistry) -> argparse.ArgumentParser:
    import argparse

    from furiosa.isa.version import VERSION

    class Parser(argparse.ArgumentParser):
        def error(self, message: str) -> NoReturn:
            raise OptionError(message, hint=_HINT)

    parser = Parser(
        prog="furiosa",
        description=f"FuriosaAI SDK CLI (ver. {VERSION})\n\n{EXAMPLES}",
        epilog="`furiosa <sub-command> --help` shows the options of a sub-command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="store_true", help="show the version and exit")
    subparsers = parser.add_subparsers(title="sub-command help", dest="subcommand", metavar="<sub-command>")
    for name, text in _helps(registry).items():
        subparsers.add_parser(name, help=text, add_help=False)
    return parser


def _absent(subcommand: str, registry: CommandRegistry) -> OptionError:
    needed = next((name for name, _ in COMMAND_LIST if _subcommand(name) == subcommand), None)
    if needed is None:
        known = [*registry.commands, *OWN_COMMANDS]
        hint = did_you_mean(subcommand, known) or _HINT
        return OptionError(f"`furiosa` has no sub-command `{subcommand}`", hint=hint)
    return OptionError(
        f"`furiosa {subcommand}` needs the executable `{needed}`, which is not on PATH",
        hint="activate the environment that it is installed in",
    )


def _emit(text: str) -> int:
    from furiosa.cli.errors import emit

    emit(text)
    return 0


def _subcommand(name: str) -> str:
    return name.removeprefix("furiosa-").replace("_", "-")


def _find(name: str) -> Path | None:
    for folder in os.get_exec_path():
        path = Path(folder, name)
        if folder and path.is_file() and os.access(path, os.X_OK):
            return path
    return None
