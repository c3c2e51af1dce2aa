"""Files of drawings: what is written comes back, what makes no sense is told apart."""

from __future__ import annotations

import io
import json
import math
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tagger import tracing
from tagger.collection import Drawing, NewDrawing, Store, formats
from tagger.collection.formats import Problem
from tagger.errors import StoreError
from tagger.strokes import Strokes, digest, dump, parse, rasterise, simplify
from tests.collection.examples import CAT, DOG, LABELS, STROKES, new, scribble

try:
    import pyarrow
    import pyarrow.parquet
except ImportError:
    pyarrow = None

needs_pyarrow = pytest.mark.skipif(not pyarrow, reason="pyarrow is not installed")
WHOLE = ["ndjson", pytest.param("parquet", marks=needs_pyarrow)]


def kept(label: str = "cat", strokes: Strokes = CAT, **more: Any) -> Drawing:
    """A drawing as the collection gives it."""
    values: dict[str, Any] = {
        "id": digest(strokes)[:16],
        "created": 1_700_000_000_123,
        "contributor": "0123456789abcdef",
        "consent": True,
        "source": "canvas",
        "model_hash": "fedcba9876543210",
        "predicted": ((label, 0.75), ("dog", 0.125)),
        "revision": 3,
    }
    return Drawing(label=label, strokes=strokes, digest=digest(strokes), **(values | more))


def file_of(drawings: Iterable[Drawing], format: str) -> io.BytesIO:
    file = io.BytesIO()
    formats.write(drawings, file, format)
    file.seek(0)
    return file


def trace(image: np.ndarray) -> Strokes:
    return tracing.trace(image, ink="light")


def whole(file: io.BytesIO, format: str) -> list[NewDrawing]:
    """All drawings of a file that has no problems."""
    read = list(formats.read(file, format, trace))
    assert [entry for entry in read if isinstance(entry, Problem)] == []
    return [entry for entry in read if isinstance(entry, NewDrawing)]


def problems(file: io.BytesIO | bytes, format: str = "ndjson") -> list[tuple[int, str]]:
    file = io.BytesIO(file) if isinstance(file, bytes) else file
    read = formats.read(file, format, trace)
    return [(p.number, p.error.code) for p in read if isinstance(p, Problem)]


def same(entry: NewDrawing, drawing: Drawing) -> None:
    """All that a file says of a drawing."""
    assert dump(entry.strokes) == dump(drawing.strokes)
    for name in ("id", "label", "created", "consent", "source", "model_hash", "predicted"):
        assert getattr(entry, name) == getattr(drawing, name), name
    assert entry.contributor is None


DRAWINGS = st.builds(
    kept,
    LABELS,
    STROKES,
    id=st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True),
    created=st.integers(0, 253_402_300_799_999),
    source=st.sampled_from(["canvas", "game", "import", "api"]),
    model_hash=st.sampled_from(["", "0123456789abcdef"]),
    predicted=st.lists(st.tuples(LABELS, st.floats(0, 1)), max_size=3).map(tuple),
)


# --- round trips


@pytest.mark.parametrize("format", WHOLE)
@given(drawings=st.lists(DRAWINGS, max_size=4))
def test_nothing_is_lost_on_the_way(format: str, drawings: list[Drawing]) -> None:
    back = whole(file_of(drawings, format), format)
    assert len(back) == len(drawings)
    for entry, drawing in zip(back, drawings, strict=True):
        same(entry, drawing)


@given(drawing=DRAWINGS)
def test_the_simplified_form_is_the_simplified_drawing(drawing: Drawing) -> None:
    (back,) = whole(file_of([drawing], "ndjson-simplified"), "ndjson-simplified")
    assert dump(back.strokes) == dump(simplify(drawing.strokes))
    assert (back.id, back.label, back.created) == (drawing.id, drawing.label, drawing.created)
    assert all(stroke.t is None and stroke.pressure is None for stroke in back.strokes)


@pytest.mark.parametrize("format", formats.FORMATS)
def test_from_one_collection_to_another(format: str, store: Store, new_url: Any) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow")
    store.save_many([new(f"w{i % 3}", scribble(i), created=1000 + i) for i in range(30)])
    store.save(new("private", consent=False))
    file = file_of(store.iterate(consented_only=False), format)
    with Store.open(new_url()) as other:
        first = other.save_many(whole(file, format))
        assert not any(saved.duplicate for saved in first)
        file.seek(0)
        assert all(saved.duplicate for saved in other.save_many(whole(file, format)))
        assert other.counts() == {"w0": 10, "w1": 10, "w2": 10}
        assert [d.id for d in other.iterate()] == [d.id for d in store.iterate()]
        if format == "ndjson":
            assert (
                file_of(other.iterate(), format).read() == file_of(store.iterate(), format).read()
            )


@pytest.mark.parametrize("format", formats.FORMATS)
def test_without_consent_nothing_is_written(format: str) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow")
    file = io.BytesIO()
    assert formats.write([kept(consent=False), kept(strokes=DOG)], file, format) == 1
    assert b"0123456789abcdef" not in file.getvalue()  # the contributor
    file.seek(0)
    assert [entry.id for entry in whole(file, format)] == [kept(strokes=DOG).id]
    empty = file_of([kept(consent=False)], format)
    assert whole(empty, format) == []


# --- Quick, Draw!


def test_lines_are_those_of_quick_draw() -> None:
    row = json.loads(file_of([kept()], "ndjson").read())
    assert list(row)[:6] == ["key_id", "word", "countrycode", "timestamp", "recognized", "drawing"]
    assert row["word"] == "cat"
    assert row["timestamp"] == "2023-11-14 22:13:20.123000 UTC"
    assert row["recognized"] is True
    assert row["drawing"] == dump(CAT)
    unasked = json.loads(file_of([kept(predicted=())], "ndjson").read())
    assert unasked["recognized"] is None


def test_lines_of_quick_draw_itself_are_read() -> None:
    published = (
        '{"word":"cat","countrycode":"VE","timestamp":"2017-03-02 23:25:10.07453 UTC",'
        '"recognized":true,"key_id":"5201136883597312","drawing":[[[130,113],[72,40]]]}\n'
        "\n"
        '{"key_id":"5891796615823360","word":"nose","countrycode":"AE",'
        '"timestamp":"2017-03-16 20:50:41.754980 UTC","recognized":true,'
        '"drawing":[[[129.5,128.1],[11.0,12.5],[0,31]],[[1],[2],[99]]]}'
    )
    cat, nose = whole(io.BytesIO(published.encode()), "ndjson")
    assert (cat.id, cat.label, cat.created) == ("5201136883597312", "cat", 1_488_497_110_074)
    assert (cat.source, cat.consent, cat.predicted) == ("import", True, ())
    assert nose.strokes[0].t is not None
    np.testing.assert_array_equal(nose.strokes[0].t, [0, 31])


def test_a_line_without_an_id_gets_one_that_stays() -> None:
    line = b'{"word":"cat","drawing":[[[0,1],[2,3]]]}\n'
    other = b'{"word":"dog","drawing":[[[0,1],[2,3]]]}\n'
    ids = [entry.id for entry in whole(io.BytesIO(line + other + line), "ndjson")]
    assert ids[0] == ids[2] != ids[1]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", "drawings-row-invalid"),
        (b"[]", "drawings-row-invalid"),
        (b"\xff\xfe", "drawings-row-invalid"),
        (b"[" * 100_000, "drawings-row-invalid"),
        (b'{"word":"a"}', "strokes-malformed"),
        (b'{"word":"a","drawing":[]}', "strokes-empty"),
        (b'{"word":"a","drawing":[[[NaN],[1]]]}', "strokes-out-of-range"),
        (b'{"drawing":[[[1],[1]]]}', "label-empty"),
        (b'{"word":"\\ud800","drawing":[[[1],[1]]]}', "label-characters"),
        (b'{"word":"a","drawing":[[[1],[1]]],"key_id":"../x"}', "drawing-invalid"),
        (b'{"word":"a","drawing":[[[1],[1]]],"key_id":["x"]}', "drawing-invalid"),
        (b'{"word":"a","drawing":[[[1],[1]]],"timestamp":"soon"}', "drawings-row-invalid"),
        (b'{"word":"a","drawing":[[[1],[1]]],"timestamp":5}', "drawings-row-invalid"),
        (b'{"word":"a","drawing":[[[1],[1]]],"timestamp":"0001-01-01"}', "drawing-invalid"),
        (b'{"word":"a","drawing":[[[1],[1]]],"source":"moon"}', "drawing-invalid"),
        (b'{"word":"a","drawing":[[[1],[1]]],"model":7}', "drawing-invalid"),
        (b'{"word":"a","drawing":[[[1],[1]]],"predicted":[1]}', "drawings-row-invalid"),
        (b'{"word":"a","drawing":[[[1],[1]]],"predicted":[{"word":"b"}]}', "drawing-invalid"),
    ],
)
def test_a_bad_line_stops_nothing(line: bytes, code: str) -> None:
    good = b'{"word":"cat","drawing":[[[0,1],[2,3]]]}'
    file = b"\n".join([good, line, good])
    assert problems(file) == [(2, code)]
    read = list(formats.read(io.BytesIO(file), "ndjson"))
    assert [type(entry) for entry in read] == [NewDrawing, Problem, NewDrawing]


@given(st.binary(max_size=60), st.sampled_from(formats.FORMATS))
def test_any_bytes_are_drawings_or_an_error(data: bytes, format: str) -> None:
    try:
        for entry in formats.read(io.BytesIO(data), format, trace):
            assert isinstance(entry, NewDrawing | Problem)
    except StoreError as error:
        assert error.code in ("drawings-file-invalid", "format-not-installed")


def test_a_line_without_end_is_not_held_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_MAX_LINE", 1000)
    with pytest.raises(StoreError, match="cannot be read"):
        problems(b"[" * 2000)


# --- Parquet


def parquet_of(columns: dict[str, list[Any]]) -> io.BytesIO:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    file.seek(0)
    return file


@needs_pyarrow
def test_a_table_of_simplified_drawings_is_read() -> None:
    """The form in which Quick, Draw! is handed on as Parquet: small whole numbers."""
    kind = pyarrow.list_(pyarrow.list_(pyarrow.list_(pyarrow.uint8())))
    drawing = pyarrow.array([[[[0, 255], [3, 4]]], [[[9], [9]]], None], kind)
    file = parquet_of({"word": ["cat", "dog", "owl"], "drawing": drawing, "split": ["a"] * 3})
    cat, dog, problem = formats.read(file, "parquet")
    assert isinstance(cat, NewDrawing)
    assert isinstance(dog, NewDrawing)
    assert isinstance(problem, Problem)
    assert dump(cat.strokes) == [[[0, 255], [3, 4]]]
    assert problem.error.code == "strokes-malformed"


@needs_pyarrow
@pytest.mark.parametrize("columns", [{"word": ["cat"]}, {"drawing": ["x"]}, {"x": [1]}])
def test_a_table_of_something_else_is_refused(columns: dict[str, list[Any]]) -> None:
    with pytest.raises(StoreError) as caught:
        problems(parquet_of(columns), "parquet")
    assert caught.value.code == "drawings-file-invalid"


@needs_pyarrow
def test_a_torn_table_is_refused() -> None:
    data = file_of([kept(strokes=scribble(i)) for i in range(20)], "parquet").getvalue()
    for end in (0, 4, len(data) // 2, len(data) - 1):
        with pytest.raises(StoreError) as caught:
            problems(data[:end], "parquet")
        assert caught.value.code == "drawings-file-invalid"


def test_without_the_library_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(StoreError) as caught:
        file_of([kept()], "parquet")
    assert caught.value.code == "format-not-installed"
    assert "pyarrow" in str(caught.value)


# --- MNIST


def test_pictures_are_those_of_mnist() -> None:
    drawings = [kept("seven", scribble(1)), kept("cat", CAT), kept("seven", DOG)]
    with np.load(file_of(drawings, "npz"), allow_pickle=False) as data:
        images, labels, words = data["images"], data["labels"], data["words"]
        assert list(data["key_ids"]) == [drawing.id for drawing in drawings]
    assert images.shape == (3, 28, 28)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert [words[label] for label in labels] == ["seven", "cat", "seven"]
    for image in images:
        rows, columns = np.nonzero(image > 127)
        assert min(rows.min(), columns.min()) >= 2
        assert max(rows.max(), columns.max()) <= 25
        assert max(np.ptp(rows), np.ptp(columns)) >= 18
        assert image.max() == 255


def agreement(one: np.ndarray, two: np.ndarray) -> float:
    """Ink in common of all ink."""
    return float(np.minimum(one, two).sum() / np.maximum(one, two).sum())


def test_pictures_come_back_as_lines_that_look_the_same() -> None:
    square = [[[0, 80, 80, 0, 0], [0, 0, 80, 80, 0]]]
    cross = [[[0, 80], [0, 80]], [[0, 80], [80, 0]]]
    wave = [[[*range(0, 100, 5)], [round(30 * math.sin(x / 15), 2) for x in range(0, 100, 5)]]]
    drawings = [kept(f"w{i}", parse(data)) for i, data in enumerate((square, cross, wave))]
    back = whole(file_of(drawings, "npz"), "npz")
    for entry, drawing in zip(back, drawings, strict=True):
        assert (entry.id, entry.label, entry.source) == (drawing.id, drawing.label, "import")
        both = (entry.strokes, drawing.strokes)
        assert agreement(*(rasterise(s, 28, width=4.0, margin=4.0) for s in both)) > 0.75


def npz_of(**arrays: Any) -> io.BytesIO:
    file = io.BytesIO()
    np.savez(file, **arrays)
    file.seek(0)
    return file


ONE = np.zeros((1, 28, 28), np.uint8)
ONE[0, 4:24, 13:16] = 255


def test_digits_are_read_by_their_numbers() -> None:
    file = npz_of(images=np.concatenate([ONE, ONE]), labels=np.array([1, 7], np.uint8))
    one, seven = whole(file, "npz")
    assert (one.label, seven.label) == ("1", "7")
    assert one.id != seven.id
    file.seek(0)
    assert [entry.id for entry in whole(file, "npz")] == [one.id, seven.id]


def test_an_empty_picture_and_a_strange_label_are_problems() -> None:
    images = np.concatenate([ONE, np.zeros_like(ONE), ONE])
    file = npz_of(images=images, labels=np.array([0, 0, 5]), words=np.array(["cat"]))
    numbers = [number for number, _ in problems(file, "npz")]
    assert numbers == [2, 3]


@pytest.mark.parametrize(
    "arrays",
    [
        {"images": ONE},
        {"labels": np.array([1])},
        {"images": ONE.astype(float), "labels": np.array([1])},
        {"images": ONE[0], "labels": np.array([1])},
        {"images": ONE[:, :2, :2], "labels": np.array([1])},
        {"images": ONE, "labels": np.array([1, 2])},
        {"images": ONE, "labels": np.array([0]), "words": np.array("cat")},
        {"images": ONE, "labels": np.array([{}], dtype=object)},
        {"images": ONE, "labels": np.array([0]), "key_ids": np.array(["a", "b"])},
    ],
)
def test_arrays_of_something_else_are_refused(arrays: dict[str, Any]) -> None:
    with pytest.raises(StoreError) as caught:
        problems(npz_of(**arrays), "npz")
    assert caught.value.code == "drawings-file-invalid"


def test_an_archive_that_unfolds_to_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images.npy", bytes(10_000_000))
    monkeypatch.setattr(formats, "_MAX_PICTURES", 1_000_000)
    with pytest.raises(StoreError, match="cannot be read"):
        problems(file.getvalue(), "npz")
    header = b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, "
    header += b"'shape': (9999999999, 28, 28), }".ljust(120 - len(header) + 7) + b"\n"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("images.npy", header)
    with pytest.raises(StoreError, match="cannot be read"):
        problems(file.getvalue(), "npz")


# --- names


def test_formats_are_guessed_from_names() -> None:
    names = ["a.ndjson", "a.JSONL", "a.b.parquet", "a.npz"]
    assert [formats.guess(Path(name)) for name in names] == [
        "ndjson",
        "ndjson",
        "parquet",
        "npz",
    ]
    for call in (
        lambda: formats.guess(Path("a.txt")),
        lambda: formats.write([], io.BytesIO(), "csv"),
        lambda: formats.read(io.BytesIO(), "csv"),
    ):
        with pytest.raises(StoreError) as caught:
            call()
        assert caught.value.code == "drawings-format-unknown"
