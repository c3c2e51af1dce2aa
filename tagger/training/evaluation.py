"""Judge a finished bundle by its files alone, on anybody's tagged pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tagger.bundles import load
from tagger.illustration import IllustrationTagger
from tagger.images import ImageLimits, read
from tagger.taglist import Rules, TagListBuilder
from tagger.training import metrics
from tagger.training.packing import labelled
from tagger.training.sources import read_records


def evaluate_bundle(
    bundle: Path, data: Path, *, split: str = "test", silent: Sequence[str] = ()
) -> dict[str, Any]:
    """Figures by source and for all, through the same code that serves.

    Parameters
    ----------
    split
        ``train``, ``val``, ``test`` or ``all``.
    silent
        Sources that do not judge.

    Raises
    ------
    ValueError
        If no picture of the split has a tag of the bundle.
    """
    tagger = IllustrationTagger(load(bundle), threads=2)
    names = {tag.name: i for i, tag in enumerate(tagger.tags)}
    builder = TagListBuilder(Rules.load(), keep_unlisted=True)
    records = [
        r for r in read_records(data) if split in ("all", r.split) and r.source not in silent
    ]
    labels = np.zeros((len(records), len(names)), np.uint8)
    for row, record in enumerate(records):
        for name in builder.names(labelled(record)):
            if name in names:
                labels[row, names[name]] = 1
    if not labels.any():
        raise ValueError("no picture of this split has a tag that the bundle knows")
    probabilities = np.concatenate(
        [
            tagger.predict(
                [
                    read(r.read_bytes(), limits=ImageLimits(), target=tagger.size).rgb
                    for r in records[start : start + 32]
                ]
            ).probabilities
            for start in range(0, len(records), 32)
        ]
    )
    sources = np.array([r.source for r in records])
    by_source = metrics.by_group(
        sources, lambda rows: metrics.evaluate(probabilities[rows], labels[rows])
    )
    return {
        "bundle": str(bundle),
        "split": split,
        "all": metrics.evaluate(probabilities, labels).as_dict(),
        "by_source": {name: figures.as_dict() for name, figures in by_source.items()},
    }
