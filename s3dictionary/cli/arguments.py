"""The commands, their options, and their help.

Imports the module of a command only when the command runs, so that help needs no botocore.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from .outcomes import ExitCode
from .terminal import out, write_error, write_out

_DESCRIPTION = "View and edit the JSON files that S3Dictionary keeps on S3."
_EXAMPLES = """\
examples:
  s3dictionary get s3://my-bucket/state.json
  s3dictionary get s3://my-bucket/state.json --query 'jobs[?done].name'
  s3dictionary set s3://my-bucket/state.json runs 3
  s3dictionary edit s3://my-bucket/state.json

exit codes:
"""
_KEY = "a key of the dict"
_JSON_KEYS = 'read keys as JSON, for keys that are not strings, such as 1 or {"py/date": "2026-01-31"}'
_VERSION = "an old version: its id, or -1 for the one before the current, -2 ..."
_FILES = {"bash": "_shtab_compgen_files", "zsh": "_files", "tcsh": "f"}
"""The functions with which the shells complete file names, for shtab."""


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line. Its result has the function to call in the attribute `command`."""
    parser = _Parser(
        prog="s3dictionary",
        description=_DESCRIPTION,
        epilog=_EXAMPLES + "\n".join(f"  {code:3d}  {code.meaning}" for code in ExitCode),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_PrintVersion, help="print the version, and exit")
    parser.add_argument(
        "--print-completion",
        action=_PrintCompletion,
        choices=["bash", "zsh"],
        help="print the shell code that completes commands and options (needs the extra cli), and exit",
    )
    _add_connection(parser, default=None)
    commands = _Commands(parser)
    _add_reading(commands)
    _add_writing(commands)
    _add_versions(commands)
    _add_listing(commands)
    _add_doctor(commands)
    return parser


class _Commands:
    """The commands, each with the common options."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parsers = parser.add_subparsers(
            title="commands", metavar="COMMAND", required=True, parser_class=_IntermixedParser
        )

    def add(self, name: str, function: str, summary: str, **texts: Any) -> argparse.ArgumentParser:
        """Add a command.

        Args:
            name: the command's name.
            function: the function to call, as `module.name` inside this package.
            summary: its help: one sentence without capital letter and full stop.
            texts: further arguments of the parser.
        """
        sentence = f"{summary[0].upper()}{summary[1:]}."
        parser = self._parsers.add_parser(name, help=summary, description=sentence, **texts)
        parser.set_defaults(command=_Later(function))
        parser.add_argument("uri", metavar="URI", help="the file's address, s3://bucket/key")
        _add_connection(parser, default=argparse.SUPPRESS)
        return parser


class _Parser(argparse.ArgumentParser):
    """Fails if its help can't be written. The base class ignores that."""

    def print_help(self, file: Any = None) -> None:
        write_out(self.format_help())

    def _print_message(self, message: str, file: Any = None) -> None:
        write_error(message)


class _IntermixedParser(_Parser):
    """Accepts options between the arguments of a command. The base class accepts an optional KEY only before them."""

    _intermixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse options and positional arguments in any order. argparse calls this again for each of the two."""
        if self._intermixing:
            return super().parse_known_args(args, namespace)
        self._intermixing = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._intermixing = False


class _Later:
    """A function of this package that is imported when it is called."""

    def __init__(self, name: str) -> None:
        self._module, self._name = name.split(".")

    def __call__(self, arguments: argparse.Namespace) -> int | None:
        function: Callable[[argparse.Namespace], int | None]
        function = getattr(import_module(f".{self._module}", __package__), self._name)
        return function(arguments)


def _add_connection(parser: argparse.ArgumentParser, default: Any) -> None:
    """Add the connection options, which may come before or after the command, as in the AWS CLI."""
    group = parser.add_argument_group("connection", "boto3 finds other settings: environment, files, roles.")
    group.add_argument("--profile", default=default, metavar="NAME", help="a profile of the AWS configuration")
    group.add_argument("--region", default=default, metavar="NAME", help="the bucket's region")
    group.add_argument("--endpoint-url", default=default, metavar="URL", help="an S3-compatible store's address")


def _add_reading(commands: _Commands) -> None:
    get = commands.add("get", "items.get", "print a file, or the value of one key, as JSON")
    get.add_argument("key", metavar="KEY", nargs="?", help=f"{_KEY}; without it, the whole file")
    _add_output(get, raw="print a string without quotes")
    keys = commands.add("keys", "items.keys", "print the keys as a JSON list")
    _add_output(keys, raw="print one key a line, strings without quotes")
    for parser in (get, keys):
        parser.add_argument("--version", metavar="VERSION", help=_VERSION)
    _add_json_keys(get)


def _add_output(parser: argparse.ArgumentParser, raw: str | None = None) -> None:
    parser.add_argument("--query", metavar="JMESPATH", help="print what this expression finds in the JSON")
    if raw:
        parser.add_argument("-r", "--raw", action="store_true", help=raw)


def _add_json_keys(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json-keys", action="store_true", help=_JSON_KEYS)


def _add_writing(commands: _Commands) -> None:
    setting = commands.add("set", "items.set_", "set a key, creating the file if it is missing")
    setting.add_argument("key", metavar="KEY", help=_KEY)
    setting.add_argument("value", metavar="VALUE", help="its value as JSON, or - to read it from standard input")
    setting.add_argument("--string", action="store_true", help="take VALUE as a string rather than as JSON")
    unset = commands.add("unset", "items.unset", "remove keys")
    unset.add_argument("keys", metavar="KEY", nargs="+", help=_KEY)
    update = commands.add("update", "items.update", "set the keys of a JSON object read from standard input")
    edit = commands.add("edit", "editing.edit", "edit a file in your editor ($VISUAL or $EDITOR)")
    edit.add_argument(
        "--from", dest="draft", metavar="PATH", help="start from this text, such as one kept from an earlier edit"
    ).complete = _FILES  # type: ignore[attr-defined]
    edit.add_argument(
        "--overwrite", action="store_true", help="with --from: save even if that undoes other writers' changes"
    )
    for parser in (setting, unset):
        _add_json_keys(parser)
    for parser in (setting, unset, update, edit):
        _add_put_options(parser)


def _add_put_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--put-option",
        action="append",
        type=_put_option,
        metavar="NAME=VALUE",
        help="an argument of PutObject, such as ServerSideEncryption=aws:kms; can be repeated",
    )


def _put_option(word: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{word!r} isn't of the form NAME=VALUE")
    return name, value


def _add_versions(commands: _Commands) -> None:
    history = commands.add("history", "versions.history", "list the versions that the bucket keeps, newest first")
    _add_output(history)
    diff = commands.add(
        "diff",
        "versions.diff",
        "show the differences between two versions (default: what the last save changed)",
    )
    diff.add_argument("old", metavar="OLD", nargs="?", help=f"{_VERSION} (default: -1)")
    diff.add_argument("new", metavar="NEW", nargs="?", help="another version (default: the current one)")
    diff.add_argument("--file", metavar="PATH", help="compare with this file on your machine instead").complete = _FILES  # type: ignore[attr-defined]
    log = commands.add(
        "log", "log.log", "list the newest versions with their size, their writer and the keys they changed"
    )
    log.add_argument("-n", "--number", type=_count, default=10, metavar="N", help="how many (default: 10)")
    log.add_argument("--json", action="store_true", help="print them as JSON")
    restore = commands.add("restore", "versions.restore", "save an old version as the current one")
    restore.add_argument("version", metavar="VERSION", help=_VERSION)
    _add_put_options(restore)


def _count(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        raise argparse.ArgumentTypeError(f"{word!r} isn't a number of 1 or more")
    return int(word)


def _add_listing(commands: _Commands) -> None:
    listing = commands.add("ls", "listing.ls", "list the files below an address that are named *.json or *.json.gz")
    listing.add_argument("--all", action="store_true", help="list files with any name")
    _add_output(listing, raw="print one address a line")


def _add_doctor(commands: _Commands) -> None:
    doctor = commands.add(
        "doctor",
        "doctor.doctor",
        "test what the library relies on, with a temporary object, and report what works",
        epilog="URI is a bucket, a folder in it, or a file. The temporary object is beside the file.",
    )
    doctor.add_argument("--json", action="store_true", help="print the results as JSON")


class _PrintVersion(argparse.Action):
    def __init__(self, **options: Any) -> None:
        super().__init__(nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from .. import __version__

        out(f"s3dictionary {__version__}")
        parser.exit()


class _PrintCompletion(argparse.Action):
    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, value: str | Sequence[Any] | None, *_: Any
    ) -> None:
        try:
            import shtab
        except ImportError:
            parser.error("this needs shtab: pip install 'S3Dictionary[cli]>=1'")
        out(shtab.complete(parser, str(value)))
        parser.exit()
