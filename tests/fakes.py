"""Stand-ins for a model, for tests of what is around it."""

from __future__ import annotations

import dataclasses
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from tagger import strokes
from tagger.bundles import BundleConfig, InputSpec, ModelFacts
from tagger.drawing import (
    Gallery,
    GalleryDrawing,
    KnownWord,
    RankedWord,
    Recognition,
    SavedDrawing,
)
from tagger.errors import ImageError, RequestError, StoreError, StrokesError
from tagger.gate import Verdict
from tagger.illustration import Prediction
from tagger.runs import Run
from tagger.services import Services
from tagger.settings import Settings
from tagger.tags import Tag, TagList
from tagger.tuning import TuningState, check_parameters
from tagger.versions import Version

TAGS = TagList(Tag(i, name) for i, name in enumerate(["red", "green", "blue"]))


@dataclass
class FakeTagger:
    """Answers with the mean colour; counts, and stops where a test wants to look."""

    tags: TagList = TAGS
    size: int = 16
    ready: bool = True
    during: Callable[[], object] | None = None
    running: int = 0
    most_running: int = 0
    batches: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def predict(self, rgbs: Sequence[np.ndarray], *, features: bool = False) -> Prediction:
        with self.lock:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            self.batches.append(len(rgbs))
        try:
            if self.during is not None:
                self.during()
            means = [rgb.reshape(-1, 3).mean(axis=0) / 255 for rgb in rgbs]
            return Prediction(np.array(means, np.float32).reshape(-1, 3))
        finally:
            with self.lock:
                self.running -= 1


def make_services(
    tagger: FakeTagger | None = None, draw: FakeDraw | None = None, **settings: Any
) -> Services:
    """Services around stand-ins."""
    config = BundleConfig(name="fake", version="0", input=InputSpec(size=16))
    return Services(Settings(**settings), tagger or FakeTagger(), config, "f" * 16, draw=draw)


def picture(
    color: tuple[int, ...] = (255, 0, 0), size: tuple[int, int] = (20, 12), kind: str = "PNG"
) -> bytes:
    """A file of one colour."""
    file = BytesIO()
    Image.new("RGBA" if len(color) == 4 else "RGB", size, color).save(file, kind)
    return file.getvalue()


WORDS = {
    "cat": "猫",
    "house": "家",
    "sun": "太陽",
    "tree": "木",
    "fish": "魚",
    "star": "星",
    "flower": "花",
    "car": "車",
    "cup": "カップ",
    "book": "本",
    "moon": "月",
    "bird": "鳥",
}
TAUGHT = 5


@dataclass
class FakeDraw:
    """Stands for ``tagger.drawing.DrawServices``: knows a drawing by its number of strokes.

    One stroke is a cat, two are a house, and so on in the order of `WORDS`. A new word is
    recognised from its fifth drawing on, in drawings of as many strokes as its last.
    """

    model: ModelFacts = ModelFacts("fake-sketch", "1", "a" * 16)  # noqa: RUF009
    ready: bool = True
    before: Callable[[str], object] | None = None
    kept: dict[str, tuple[str, GalleryDrawing]] = field(default_factory=dict)
    keys: dict[tuple[str, str], str] = field(default_factory=dict)
    saves: list[dict[str, Any]] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)
    accepted: set[str] = field(default_factory=set)
    owner_token: str = "an owner's token"
    tuning: FakeTuning | None = None

    @property
    def prompts(self) -> tuple[KnownWord, ...]:
        return tuple(KnownWord(word, name_ja) for word, name_ja in WORDS.items())

    def close(self) -> None:
        self._enter("close")

    def _enter(self, name: str) -> None:
        if self.before is not None:
            self.before(name)

    def recognise(
        self, data: Any, *, top: int = 10, visitor: str = "", client: str = ""
    ) -> Recognition:
        self._enter("recognise")
        count = len(strokes.parse(data))
        known = list(WORDS)
        order = known[(count - 1) % len(known) :] + known[: (count - 1) % len(known)]
        shares = 0.6 * 0.4 ** np.arange(len(order))
        ranked = [
            RankedWord(word, float(share), WORDS[word])
            for word, share in zip(order, shares, strict=True)
        ]
        with self.lock:
            self.asked.append(count)
            own = [drawing for who, drawing in self.kept.values() if who == visitor]
        amounts = Counter(drawing.label for drawing in own)
        last = {drawing.label: len(drawing.strokes) for drawing in own}
        for word, amount in amounts.items():
            if word not in WORDS and amount >= TAUGHT and last[word] == count:
                ranked.insert(0, RankedWord(word, 0.8, learnt=True))
        return Recognition(tuple(ranked[:top]), 0.001, self.model)

    def trace(self, source: Any) -> list[list[list[float]]]:
        self._enter("trace")
        try:
            image = np.asarray(Image.open(BytesIO(source)).convert("L"))
        except OSError:
            raise ImageError("image-unreadable") from None
        rows, columns = np.nonzero(image < 128)
        if not len(rows):
            raise StrokesError("strokes-empty")
        left, right = int(columns.min()), int(columns.max())
        top, bottom = int(rows.min()), int(rows.max())
        return [[[left, right], [top, bottom]], [[left, right], [bottom, top]]]

    def _word(self, label: str) -> str:
        label = label.strip()
        if not label:
            raise StoreError("label-empty")
        same = {name_ja: word for word, name_ja in WORDS.items()}
        return same.get(label, label.casefold() if label.casefold() in WORDS else label)

    def save(
        self,
        data: Any,
        label: str,
        *,
        visitor: str,
        consent: bool = False,
        predicted: Sequence[tuple[str, float]] = (),
        source: str = "canvas",
        key: str | None = None,
        client: str = "",
    ) -> SavedDrawing:
        self._enter("save")
        drawn = strokes.parse(data)
        word = self._word(label)
        with self.lock:
            known = self.keys.get((visitor, key)) if key else None
            id = known or secrets.token_hex(8)
            if not known:
                simple = strokes.dump(strokes.simplify(drawn))
                drawing = GalleryDrawing(
                    id, word, 1_700_000_000_000 + len(self.saves), consent, source, simple
                )
                self.kept[id] = visitor, drawing
                self.keys[visitor, key or id] = id
                self.saves.append(
                    {"data": data, "label": word, "consent": consent, "source": source}
                    | {"visitor": visitor, "predicted": list(predicted), "key": key, "id": id}
                )
            count = sum(w == word for w in self._labels(visitor))
            return SavedDrawing(id, word, 1_700_000_000_000, known is not None, count)

    def _labels(self, visitor: str | None) -> list[str]:
        with self.lock:
            return [d.label for who, d in self.kept.values() if visitor in (None, who)]

    def _own(self, id: str, visitor: str) -> GalleryDrawing:
        with self.lock:
            who, drawing = self.kept.get(id, ("", None))
        if drawing is None or who != visitor:
            raise StoreError("drawing-not-found")
        return drawing

    def gallery(
        self, visitor: str, *, label: str | None = None, offset: int = 0, limit: int = 50
    ) -> Gallery:
        self._enter("gallery")
        with self.lock:
            own = [
                d for who, d in self.kept.values() if who == visitor and label in (None, d.label)
            ]
        newest = own[::-1]
        return Gallery(tuple(newest[offset : offset + limit]), len(newest))

    def counts(self, visitor: str | None = None) -> tuple[KnownWord, ...]:
        return tuple(
            KnownWord(word, WORDS.get(word), "word" if word in WORDS else "learnt", count)
            for word, count in Counter(self._labels(visitor)).most_common()
        )

    def relabel(self, id: str, label: str, visitor: str) -> GalleryDrawing:
        self._enter("relabel")
        drawing = dataclasses.replace(self._own(id, visitor), label=self._word(label))
        self.kept[id] = visitor, drawing
        return drawing

    def delete(self, id: str, visitor: str) -> None:
        self._enter("delete")
        self._own(id, visitor)
        del self.kept[id]

    def withdraw(self, visitor: str) -> int:
        self._enter("withdraw")
        with self.lock:
            own = [id for id, (who, _) in self.kept.items() if who == visitor]
            for id in own:
                del self.kept[id]
        return len(own)

    def words(
        self, query: str = "", *, lang: str = "en", visitor: str = "", limit: int = 20
    ) -> tuple[KnownWord, ...]:
        self._enter("words")
        learnt = [word for word in self.counts(visitor) if word.kind == "learnt"]
        found = [
            word
            for word in [*self.prompts, *learnt]
            if query.casefold() in word.word.casefold() or query in (word.name_ja or "")
        ]
        return tuple(sorted(found, key=lambda w: not w.word.startswith(query))[:limit])

    def check_owner(self, token: str, client: str = "") -> None:
        self._enter("check_owner")
        if token != self.owner_token:
            raise RequestError("owner-only")

    def given(self) -> Counter[str]:
        """Drawings that were given with consent, by word."""
        with self.lock:
            return Counter(d.label for _, d in self.kept.values() if d.consent)

    def accept(self, word: str) -> str:
        if word not in self.given():
            raise RequestError("word-not-drawn", word=word)
        self.accepted.add(word)
        return word

    def reject(self, word: str) -> None:
        self.accepted.discard(word)


@dataclass
class FakeTuning:
    """Stands for ``tagger.tuning.TuningService``: its runs go on and end as a test says."""

    draw: FakeDraw
    why_refit: str | None = None
    why_tune: str | None = None
    runs: list[Run] = field(default_factory=list)
    versions: list[Version] = field(default_factory=list)
    chain: list[str] = field(default_factory=lambda: ["shipped"])

    def __post_init__(self) -> None:
        self._keep("shipped", "shipped", None, len(WORDS))

    def _keep(self, id: str, kind: Any, run: str | None, words: int) -> None:
        number = len(self.versions) + 1
        created = _BEGIN + number * 3_600_000
        self.versions.append(Version(id, f"fake-sketch {number}", created, kind, run, words))

    def state(self) -> TuningState:
        given = self.draw.given()
        new = Counter({word: count for word, count in given.items() if word not in WORDS})
        accepted = self.draw.accepted
        return TuningState(
            why_refit=self.why_refit,
            why_tune=self.why_tune,
            running=next((run.id for run in self.runs if run.state == "running"), None),
            collected={
                "shared": given.total(),
                "held_back": given.total() // 5,
                "words": len(given),
            },
            words=tuple(
                {"word": word, "drawings": count, "accepted": word in accepted}
                for word, count in new.most_common()
            ),
            runs=tuple(self.runs[::-1]),
            versions=tuple(self.versions[::-1]),
            live=self.chain[-1],
            previous=self.chain[-2] if len(self.chain) > 1 else None,
        )

    def start(self, kind: Any, parameters: dict[str, Any] | None = None) -> dict[str, Any]:
        if kind not in ("refit", "tuning"):
            raise RequestError("request-invalid", field="kind", reason="refit or tuning")
        checked = check_parameters(kind, parameters or {})
        if self.runs and self.runs[-1].state == "running":
            raise RequestError("tuning-busy")
        why = self.why_refit if kind == "refit" else self.why_tune
        if why is not None:
            raise RequestError("tuning-unavailable", why=why)
        number, given = len(self.runs), self.draw.given()
        data = {
            "hash": f"{number:016x}",
            "drawings": given.total(),
            "held_back": given.total() // 5,
            "words": len(given),
            "new_words": sorted(self.draw.accepted),
        }
        id, started = f"20260101-000000-{number:04x}", _BEGIN + number * 60_000
        self.runs.append(Run(id, kind, "running", started, parameters=checked, data=data))
        return self.runs[-1].shown()

    def go_on(self, done: float, step: str, *losses: float) -> None:
        """Let the run come so far; with a loss for every epoch that is over."""
        curve = [
            {"epoch": i, "loss": loss, "frozen": 0.7 - 0.002 * i, "held_back": 0.6 + 0.02 * i}
            for i, loss in enumerate(losses, 1)
        ]
        self._change(progress={"done": done, "step": step, "curve": curve})

    def end(self, verdict: Verdict | None = None, **more: Any) -> None:
        """Let the run end; with a verdict that passes, its version is live."""
        run = self.runs[-1]
        state = "done" if verdict else "failed"
        self._change(state=state, ended=run.started + 5000, seconds=5.0, verdict=verdict, **more)
        if verdict is not None and verdict.passes:
            words = len(WORDS) + len(run.data["new_words"])
            self._keep(run.id, run.kind, run.id, words)
            self._change(version=run.id)
            self.chain.append(run.id)

    def _change(self, **values: Any) -> None:
        self.runs[-1] = dataclasses.replace(self.runs[-1], **values)

    def cancel(self, id: str) -> dict[str, Any]:
        if not self.runs or id != self.runs[-1].id:
            raise RequestError("tuning-run-not-found")
        if self.runs[-1].state == "running":
            self._change(state="cancelled", ended=self.runs[-1].started + 2000, seconds=2.0)
        return self.runs[-1].shown()

    def activate(self, id: str) -> None:
        if id not in [version.id for version in self.versions]:
            raise RequestError("tuning-version-not-found")
        self.chain.append(id)

    def back(self) -> str:
        if len(self.chain) < 2:
            raise RequestError("tuning-no-previous")
        self.chain.pop()
        return self.chain[-1]


_BEGIN = 1_770_000_000_000
