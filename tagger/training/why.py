"""Why a tag is on the list or is not: ``python -m tagger.training.why --data TABLE [TAG ...]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tagger.taglist import Report, Rules, TagListBuilder
from tagger.training.packing import labelled
from tagger.training.sources import DataError, read_records


def main(argv: Sequence[str] | None = None) -> int:
    """Print what became of the tags named, or how many were dropped for which reason."""
    parser = argparse.ArgumentParser(prog="python -m tagger.training.why", description=__doc__)
    parser.add_argument("--data", required=True, type=Path, help="a .parquet or .csv, or a folder")
    parser.add_argument("--silent", nargs="*", default=["lucide", "game-icons"])
    parser.add_argument("--min-concepts", type=int, default=8)
    parser.add_argument("--min-judged", type=int, default=3)
    parser.add_argument("tags", nargs="*", metavar="TAG", help="as written in the data")
    args = parser.parse_args(argv)
    try:
        records = read_records(args.data)
    except DataError as error:
        print(error, file=sys.stderr)
        return 2
    builder = TagListBuilder(
        Rules.load(), min_concepts=args.min_concepts, min_judged=args.min_judged
    )
    report = builder.build(labelled(r, args.silent) for r in records if r.split == "train")
    print("\n".join(lines(report, args.tags)))
    return 0


def lines(report: Report, tags: Sequence[str] = ()) -> list[str]:
    """A line for each tag, or for each reason with the tags that it dropped."""
    if tags:
        decisions = [report.why(raw) for raw in tags]
        return [f"{d.raw}: {d.outcome} {d.tag or ''}".rstrip() + f", {d.reason}" for d in decisions]
    counted = [f"{count:6,}  {reason}" for reason, count in report.reasons().most_common()]
    kept = sum(decision.tag is not None for decision in report.decisions.values())
    return [f"{kept:6,}  kept, under {len(report.tags)} names", *counted]


if __name__ == "__main__":
    sys.exit(main())
