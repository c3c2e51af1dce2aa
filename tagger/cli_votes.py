"""``python -m tagger votes``: what was voted, out of the collection and looked at as a whole.

Which database it is, the settings say (``TAGGER_DATABASE``, ``TAGGER_DATA_DIR``), as for the app,
which may be running meanwhile.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tagger.cli_drawings import agreed, destination, opened, take_in
from tagger.cli_inputs import whole

if TYPE_CHECKING:
    from tagger.collection import KeptVote
    from tagger.preference.arena import Report
    from tagger.preference.metrics import Interval

OK, SOME_FAILED, FAILED = 0, 1, 2

# Named here as well, so that help does not wait for the database's library.
FORMATS = ("jsonl", "csv", "parquet")
READ_FORMATS = ("jsonl", "parquet")

_MAX_STANDINGS = 100_000
_REASONS = {
    "one-sided": "nearly always chose the same side",
    "unlike-others": "voted against most others",
    "too-quick": "voted faster than one can look",
}


def add_parser(commands: Any) -> None:
    """Add ``votes`` and its commands to the parser of the command line."""
    parser = commands.add_parser(
        "votes",
        help="count, export, import, report and withdraw collected votes",
        description="Manage the votes that people gave. TAGGER_DATABASE says where they are.",
    )
    parser.add_argument("--lang", choices=("en", "ja"), help="language of messages (en)")
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    stats = actions.add_parser("stats", help="how many votes there are, and of what kind")
    stats.set_defaults(command=_stats)
    stats.add_argument(
        "--shared", action="store_true", help="only those that their contributors share"
    )
    stats.add_argument("--json", action="store_true", help="one JSON object")

    export = actions.add_parser(
        "export",
        help="write the votes that their contributors share",
        description="Write the votes that their contributors share, without saying whose. Votes "
        "on pictures of one's own are left out.",
    )
    export.set_defaults(command=_export)
    export.add_argument("file", metavar="FILE", help="- for the standard output")
    export.add_argument("--format", choices=FORMATS, help="by default as the file's name says")
    export.add_argument("--overwrite", action="store_true", help="replace a file that exists")

    bring = actions.add_parser(
        "import",
        help="take in votes from exported files",
        description="Take in votes that you have the right to pass on: they count as shared. "
        "Those that are there already, or were taken back, are left out.",
    )
    bring.set_defaults(command=_import)
    bring.add_argument("files", nargs="+", type=Path, metavar="FILE")
    bring.add_argument("--format", choices=READ_FORMATS, help="by default as each file's name says")

    report = actions.add_parser(
        "report",
        help="what the shared votes say of the pictures, and of themselves",
        description="Rank the pictures by all shared votes (Bradley and Terry's model with "
        "bootstrap intervals), and look for side bias, duplicates and odd voters.",
    )
    report.set_defaults(command=_report)
    report.add_argument("--json", action="store_true", help="one JSON object, not Markdown")
    report.add_argument(
        "--limit",
        type=whole(_MAX_STANDINGS),
        default=50,
        metavar="N",
        help="pictures that are listed (50)",
    )
    report.add_argument("--output", "-o", metavar="FILE", help="write it there")
    report.add_argument("--overwrite", action="store_true", help="replace a file that exists")

    withdraw = actions.add_parser(
        "withdraw",
        help="remove votes for good",
        description="Remove votes for good. The taste goes with all of a contributor's votes.",
    )
    withdraw.set_defaults(command=_withdraw)
    whose = withdraw.add_mutually_exclusive_group(required=True)
    whose.add_argument("--visitor", help="all of the visitor with this id, which the browser keeps")
    whose.add_argument("--contributor", help="all of the contributor with this hash")
    whose.add_argument("--id", nargs="+", dest="ids", help="these votes")
    withdraw.add_argument("--yes", action="store_true", help="do not ask")


# --- look ---------------------------------------------------------------------------------------


def _stats(options: argparse.Namespace) -> int:
    with opened() as store:
        facts = _facts(store.iterate_votes(consented_only=options.shared))
    if options.json:
        print(json.dumps(facts, ensure_ascii=False))
        return OK
    print(f"{facts['votes']:>7,}  votes of {facts['voters']:,} voters, {facts['shared']:,} shared")
    print(f"{facts['pictures']:>7,}  pictures")
    for choice, number in facts["choices"].items():
        print(f"{number:>7,}  {choice}")
    foretold = facts["foretold"]
    if foretold["count"]:
        print(f"{foretold['share']:>7.1%}  of {foretold['count']:,} preferences were foretold")
    return OK


def _facts(votes: Iterable[KeptVote]) -> dict[str, Any]:
    choices: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    voters: set[str] = set()
    pictures: set[str] = set()
    shared = right = decided = 0
    for vote in votes:
        choices[vote.choice] += 1
        asked[vote.kind] += 1
        voters.add(vote.contributor or vote.id)
        pictures |= {vote.left, vote.right}
        shared += vote.consent
        if vote.p_left is not None and vote.p_left != 0.5 and vote.choice in ("left", "right"):
            decided += 1
            right += (vote.p_left > 0.5) == (vote.choice == "left")
    return {
        "votes": choices.total(),
        "shared": shared,
        "voters": len(voters),
        "pictures": len(pictures),
        "choices": dict(choices.most_common()),
        "asked": dict(asked.most_common()),
        "foretold": {"share": round(right / decided, 4) if decided else None, "count": decided},
    }


def _report(options: argparse.Namespace) -> int:
    from tagger.comparing.reporting import battles
    from tagger.preference import arena

    path = None if options.output in (None, "-") else Path(options.output)
    if _would_replace(path, options.overwrite):
        return FAILED
    with opened() as store:
        found = arena.report(battles(store.iterate_votes()), limit=options.limit)
    text = json.dumps(found.to_dict(), ensure_ascii=False) if options.json else _markdown(found)
    with destination(path) as file:
        file.write(f"{text}\n".encode())
    return OK


def _markdown(report: Report) -> str:
    """A report for people."""
    lines = [
        "# Votes",
        "",
        f"{report.votes:,} votes of {report.voters:,} voters: "
        + (", ".join(f"{n:,} {choice}" for choice, n in report.choices.items()) or "none")
        + ".",
        f"The left picture was preferred in {_share(report.left)} of the decided votes.",
        f"Votes on a pair that the voter had judged before, unasked: {report.duplicates:,}.",
        "",
        "## Pictures",
        "",
        "| | Picture | Strength | 95 % | Votes | Wins |",
        "|--:|---|--:|---|--:|--:|",
    ]
    for place, one in enumerate(report.standings, 1):
        interval = f"{one.low:+.2f} to {one.high:+.2f}"
        lines.append(
            f"| {place} | {_cell(one.name)} | {one.strength:+.2f} | {interval} "
            f"| {one.votes:,} | {one.wins:,g} |"
        )
    lines += ["", "## Voters to look at", ""]
    for voter in report.suspects:
        reasons = ", ".join(_REASONS.get(reason, reason) for reason in voter.reasons)
        lines.append(f"- {_cell(voter.voter)}: {voter.votes:,} votes; {reasons}")
    if not report.suspects:
        lines.append("None.")
    return "\n".join(lines)


def _share(interval: Interval) -> str:
    if not interval.count:
        return "none"
    return f"{interval.value:.1%} (95 %: {interval.low:.1%} to {interval.high:.1%})"


def _cell(text: str) -> str:
    """A text within Markdown that is shown as it is."""
    from tagger.cli_output import screen_text

    shown = screen_text(text)
    return "".join(f"\\{c}" if c in "\\`*_[]<>|!#&" else c for c in shown)


# --- out and in ---------------------------------------------------------------------------------


def _export(options: argparse.Namespace) -> int:
    from tagger.collection import vote_formats
    from tagger.errors import StoreError

    path = None if options.file == "-" else Path(options.file)
    format = options.format or ("jsonl" if path is None else _format_of(path))
    if format not in FORMATS:
        raise StoreError("votes-format-unknown")
    if _would_replace(path, options.overwrite):
        return FAILED
    with opened() as store, destination(path) as file:
        count = vote_formats.export_votes(store.iterate_votes(), file, format)
    print(f"Votes written: {count:,}.", file=sys.stderr)
    return OK


def _format_of(path: Path) -> str:
    """As the name of a file says."""
    suffix = path.suffix.lower().lstrip(".")
    return "jsonl" if suffix in ("ndjson", "json") else suffix


def _import(options: argparse.Namespace) -> int:
    from tagger.collection import vote_formats

    status = OK
    with opened() as store:
        for path in options.files:
            format = options.format or _format_of(path)
            read = partial(vote_formats.read_votes, format=format)
            taken = take_in(path, read, store.save_votes, options.lang or "en")
            status = max(status, taken)
    return status


def _would_replace(path: Path | None, overwrite: bool) -> bool:
    if path is None or overwrite or not path.exists():
        return False
    print(f"tagger: {path} exists; --overwrite replaces it", file=sys.stderr)
    return True


# --- take back ----------------------------------------------------------------------------------


def _withdraw(options: argparse.Namespace) -> int:
    with opened() as store:
        whose = options.contributor
        if options.visitor:
            whose = store.contributor_of(options.visitor)
        count = len(options.ids) if options.ids else store.count_votes(contributor=whose)
        if not count and (options.ids or store.taste_of(whose) is None):
            print("There are no such votes.", file=sys.stderr)
            return SOME_FAILED
        if not options.yes and not agreed(count, "votes"):
            return FAILED
        if options.ids:
            for id in options.ids:
                store.delete_vote(id, by=None, owner=True)
        else:
            count = store.withdraw(whose, "vote")
    print(f"Votes removed: {count:,}. Files exported before hold them still.")
    return OK
