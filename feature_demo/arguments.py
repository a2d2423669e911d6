"""The command line: five verbs, `up` where none is named."""

import argparse
from typing import Final

VERBS: Final = ("up", "update", "status", "logs", "remove")
_ABOUT: Final = """\
Brings a demo of a branch up on this server (Debian 13, as root), behind HTTPS and a password;
updates it; removes it again without leftovers. Asks what it is not told.
"""
_EXAMPLES: Final = """\
examples:
  feature-demo.sh
  feature-demo.sh up --git https://git.example.org/team/app.git --branch feature-demo/map --yes
  feature-demo.sh up --folder /root/app --domain demo.example.org --settings app.env --yes
  feature-demo.sh update
  feature-demo.sh remove

exit codes: 0 done, 1 it did not work (the cause and what to do next are printed), 2 a wrong
argument, 130 interrupted. Secrets are never taken from the command line.
"""


def parse(words: list[str]) -> argparse.Namespace:
    """The arguments; ends the program with 2 on a wrong one, with 0 after --help."""
    if not words or (words[0].startswith("-") and words[0] not in ("-h", "--help")):
        words = ["up", *words]
    parser = argparse.ArgumentParser(
        prog="feature-demo.sh",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", metavar="|".join(VERBS))
    for verb, about in (
        ("up", "bring a demo up, or change the one that is here (the default)"),
        ("update", "fetch the branch again and deploy what is new"),
    ):
        part = verbs.add_parser(verb, help=about, description=about)
        _add_wishes(part)
    status = verbs.add_parser("status", help="what runs, where, and how it is")
    status.add_argument("--json", action="store_true", help="for scripts")
    logs = verbs.add_parser("logs", help="the last lines of all services or of one")
    logs.add_argument("service", nargs="?", default="", help="default: all")
    logs.add_argument("--lines", type=int, default=100, help="default: 100, at most 1000")
    remove = verbs.add_parser("remove", help="dump the data, then remove everything")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    remove.add_argument("--dump-to", metavar="DIR", default="/root", help="default: /root")
    remove.add_argument("--no-dump", action="store_true", help="the data is lost")
    return parser.parse_args(words)


def _add_wishes(parser: argparse.ArgumentParser) -> None:
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--git", metavar="URL", help="the application's repository")
    source.add_argument("--folder", metavar="DIR", help="or a folder that is here already")
    add = parser.add_argument
    add("--branch", help="the branch, as feature-demo/map")
    add("--application", metavar="PATH", help="the application's folder in there; default: its top")
    add("--compose-file", metavar="NAME", help="default: compose.yaml")
    add("--domain", help="the demo's name; default: one made of the address, which always resolves")
    add("--address-domain", metavar="DOMAIN", help="for such a name; default: sslip.io")
    add("--address", help="the public address, where this server does not have it itself")
    add("--settings", metavar="FILE", help="the application's variables, lines NAME=value")
    add("--images", metavar="PREFIX", help="pull from there; default: build here from `build:`")
    add("--version", metavar="TAG", help="with --images: this tag instead of the branch's")
    add("--registry", metavar="HOST", help="whose user: default, of --images; else Docker Hub's")
    add("--registry-user", metavar="USER", help="where images are not public")
    add("--registry-password-file", metavar="FILE", help="its password; - for stdin")
    add("--git-user", metavar="USER", help="for a token that wants a user's name")
    add("--git-token-file", metavar="FILE", help="where the repository is not public; - for stdin")
    add("--public", action="store_true", default=None, help="no password, and search engines may")
    add("--acme-server", metavar="URL", help="another authority than Let's Encrypt")
    add("--acme-root", metavar="FILE", help="its root certificate (PEM)")
    add("--acme-email", metavar="ADDRESS", help="where the authority may write to")
    add("--yes", action="store_true", help="never ask")
