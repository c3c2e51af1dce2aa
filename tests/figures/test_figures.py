"""Figures: their data against plain loops, and what a browser makes of them."""

from __future__ import annotations

import base64
import io
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tagger import figures
from tagger.atlas import pca
from tagger.figures.style import palette, text
from tagger.figures.thumbnails import thumbnail
from tagger.similarity import UNKNOWN, Index, Labels
from tagger.similarity.classification import confusion
from tests.similarity import naive

pytest.importorskip("plotly")

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["cat", "dog", "<b>house</b>", "flower", "red", "blue", "green"]


def coloured(number: int, size: tuple[int, int] = (40, 30)) -> np.ndarray:
    """A picture [H, W, 3] of a colour of its own."""
    colour = [(37 * number) % 256, (91 * number) % 256, (53 * number + 20) % 256]
    return np.full((size[1], size[0], 3), colour, np.uint8)


def decoded(uri: str) -> Image.Image:
    head, body = uri.split(",", 1)
    assert head == "data:image/webp;base64"
    return Image.open(io.BytesIO(base64.b64decode(body)))


def is_picture(uri: str, number: int) -> bool:
    shown = np.asarray(decoded(uri).convert("RGB")).reshape(-1, 3).mean(axis=0)
    return bool(np.abs(shown - coloured(number)[0, 0]).max() < 6)


@pytest.fixture
def index() -> Index:
    rows = np.random.default_rng(0).normal(size=(30, 6))
    index = Index(6, "m")
    index.add_many([f"p{n}" for n in range(30)], rows, [[n % 4, 4 + n % 3] for n in range(30)])
    return index


# --- the sheet


def test_the_sheet_shows_what_is_nearest_by_plain_loops(index: Index) -> None:
    rows = np.random.default_rng(0).normal(size=(30, 6))
    asked, mine = [3, 17], [[3, 4], [1, 6]]
    figure = figures.neighbour_sheet(
        [coloured(n) for n in asked],
        index.lookup_many(rows[asked] + 0.1, 5),
        pictures={f"p{n}": coloured(n) for n in range(30)},
        query_labels=mine,
        names=NAMES,
        k=4,
        side=32,
        title="Like these",
    )
    assert len(figure.layout.images) == 2 * 5
    hovers = figure.data[0].text
    for row, query in enumerate(asked):
        cosines = {n: naive.cosine(rows[query] + 0.1, rows[n]) for n in range(30)}
        nearest = sorted(cosines, key=lambda n: -cosines[n])[:4]
        cells = list(figure.layout.images)[5 * row : 5 * row + 5]
        assert all(is_picture(c.source, n) for c, n in zip(cells, [query, *nearest], strict=True))
        assert all(max(decoded(cell.source).size) == 32 for cell in cells)
        # From left to right, in one line.
        assert [cell.x for cell in cells] == sorted(cell.x for cell in cells)
        assert len({cell.y for cell in cells}) == 1
        for place, n in enumerate(nearest):
            shared = set(mine[row]) & {n % 4, 4 + n % 3}
            at = 5 * row + place + 1
            said = figure.layout.annotations[at].text
            assert said.startswith(f"{cosines[n]:.3f}<br>")
            assert ("nothing in common" in hovers[at]) == (not shared)
            frame = figure.layout.shapes[at].line.color
            assert (frame == figure.layout.shapes[0].line.color) is False
            assert hovers[at].startswith(f"p{n}<br>") and f"{cosines[n]:.3f}" in hovers[at]
            for tag in shared:
                assert text(NAMES[tag]) in hovers[at] and "<b>house" not in hovers[at]


def test_the_sheet_of_plain_arrays_and_numbers() -> None:
    pictures = np.stack([coloured(n) for n in range(6)]) / 255
    figure = figures.neighbour_sheet(
        pictures[:1], [[2, 5]], pictures=pictures, cosines=[[0.9, 0.25]], labels=[[0]] * 6
    )
    assert [
        is_picture(one.source, n) for one, n in zip(figure.layout.images, (0, 2, 5), strict=True)
    ]
    assert [one.text for one in figure.layout.annotations[1:]] == ["0.900<br>", "0.250<br>"]
    with pytest.raises(ValueError, match="neighbours are needed"):
        figures.neighbour_sheet(pictures[:1])
    with pytest.raises(ValueError, match="pictures of what"):
        figures.neighbour_sheet(pictures[:1], [[2]])
    assert len(figures.neighbour_sheet([], [], pictures=pictures).layout.images) == 0


# --- confusions


def by_loops(truth: list[set[int]], said: list[set[int]], tags: list[int]) -> dict[Any, float]:
    """What is said in place of what, tag by tag, item by item; None for none."""
    counts: Counter[Any] = Counter()
    for true, given_ in zip(truth, said, strict=True):
        true, given_ = true & set(tags), given_ & set(tags)
        if not true and not given_:
            counts[None, None] += 1
        for a in true:
            if a in given_:
                counts[a, a] += 1
            elif given_ - true:
                for b in given_ - true:
                    counts[a, b] += 1 / len(given_ - true)
            else:
                counts[a, None] += 1
        if not true - given_:
            for b in given_ - true:
                counts[None, b] += 1
    return counts


SETS = st.lists(st.sets(st.integers(0, 6), max_size=4), min_size=1, max_size=12)


@given(SETS, st.integers(0, 2**32 - 1), st.sampled_from([[0, 1, 2, 3, 4, 5, 6], [2, 5], [6, 0, 3]]))
def test_confusions_are_those_of_plain_loops(truth: list, seed: int, tags: list[int]) -> None:
    rng = np.random.default_rng(seed)
    said = [set(rng.integers(0, 7, 3).tolist()) if rng.random() < 0.8 else set() for _ in truth]
    matrix = figures.count_confusions(Labels(truth), Labels(said), tags)
    wanted = by_loops(truth, said, tags)
    keys = [*tags, None]
    for row, a in enumerate(keys):
        for column, b in enumerate(keys):
            assert matrix[row, column] == pytest.approx(wanted[a, b])
    # Each row is how often its tag holds.
    for row, a in enumerate(tags):
        assert matrix[row].sum() == pytest.approx(sum(a in one for one in truth))


@given(st.lists(st.tuples(st.integers(-1, 4), st.integers(-1, 4)), min_size=1, max_size=30))
def test_with_single_labels_it_is_the_usual_matrix(pairs: list[tuple[int, int]]) -> None:
    truth, said = [a for a, _ in pairs], [b for _, b in pairs]
    sets = [Labels(() if n == UNKNOWN else (n,) for n in one) for one in (truth, said)]
    matrix = figures.count_confusions(*sets, list(range(5)))
    np.testing.assert_array_equal(matrix, confusion(truth, said, list(range(5))))


def test_scikit_learn_counts_the_same_single_confusions() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    truth, said = rng.integers(0, 5, 80), rng.integers(0, 5, 80)
    figure = figures.confusion_matrix(truth, said, normalise=False)
    wanted = metrics.confusion_matrix(truth, said, labels=range(5))
    np.testing.assert_array_equal(np.asarray(figure.data[0].z)[:5, :5], wanted)


def test_the_matrix_shows_shares_and_leaves_nothing_out() -> None:
    rng = np.random.default_rng(1)
    truth = [set(rng.choice(7, 2, replace=False).tolist()) for _ in range(60)]
    said = [{t if rng.random() < 0.6 else int(rng.integers(0, 7)) for t in one} for one in truth]
    figure = figures.confusion_matrix(truth, said, names=NAMES, title="<i>T</i>")
    heat, full = figure.data[0], figures.count_confusions(Labels(truth), Labels(said), range(7))
    np.testing.assert_allclose(heat.customdata, full)
    for row in range(7):
        holds = sum(row in one for one in truth)
        np.testing.assert_allclose(np.asarray(heat.z)[row], full[row] / holds)
    assert list(figure.layout.xaxis.ticktext) == [*map(text, NAMES), "(none)"]
    assert figure.layout.title.text == "&lt;i&gt;T&lt;/i&gt;"
    few = figures.confusion_matrix(truth, said, names=NAMES, most=3, normalise=False)
    z = np.asarray(few.data[0].z)
    assert z.shape == (4, 5) and few.layout.xaxis.ticktext[-2:] == ("(others)", "(none)")
    off = (full - np.diag(np.diag(full)))[:-1, :-1]
    worst = off.sum(axis=0) + off.sum(axis=1)
    shown = sorted(sorted(range(7), key=lambda n: (-worst[n], n))[:3])
    assert list(few.layout.yaxis.ticktext[:-1]) == [text(NAMES[n]) for n in shown]
    np.testing.assert_allclose(z.sum(axis=1), full[[*shown, 7]].sum(axis=1))
    given_ = figures.confusion_matrix(truth, said, names=NAMES, tags=[5, 0])
    assert list(given_.layout.yaxis.ticktext) == ["blue", "cat", "(none)"]
    with pytest.raises(ValueError):
        figures.confusion_matrix([1], [1, 2])


# --- the projector


def test_points_are_where_they_are_and_coloured_by_their_labels() -> None:
    rng = np.random.default_rng(2)
    positions, labels = rng.normal(size=(50, 2)).astype(np.float32), rng.integers(0, 3, 50)
    figure = figures.projector(
        positions, labels=labels, names=NAMES, titles=[f"t<{n}" for n in range(50)]
    )
    seen = {}
    for trace in figure.data:
        for n, x, y, word in zip(trace.customdata, trace.x, trace.y, trace.text, strict=True):
            seen[int(n)] = trace.name
            assert (x, y) == tuple(positions[n]) and word == f"t&lt;{n}"
    assert seen == {n: text(NAMES[labels[n]]) for n in range(50)}
    sizes = [len(trace.x) for trace in figure.data]
    assert sizes == sorted(sizes, reverse=True) and figure.data[0].type == "scattergl"
    assert len({trace.marker.color for trace in figure.data}) == 3


def test_rare_labels_come_together() -> None:
    labels = [f"l{n}" for n in range(30) for _ in range(n + 1)]
    figure = figures.projector(np.zeros((len(labels), 2)), labels=labels, most=5)
    assert [trace.name for trace in figure.data] == ["l29", "l28", "l27", "l26", "other"]
    assert sum(len(trace.x) for trace in figure.data) == len(labels)
    assert len(set(palette(60))) == 60


def test_embeddings_are_projected_and_an_index_is_taken(index: Index) -> None:
    now = index.snapshot()
    for dimensions, kind in ((2, "scattergl"), (3, "scatter3d")):
        figure = figures.projector(index, dimensions=dimensions)
        wanted = pca(now.embeddings, dimensions)
        trace = figure.data[0]
        assert trace.type == kind and list(trace.text) == index.ids()
        got = np.stack([getattr(trace, axis) for axis in "xyz"[:dimensions]], axis=1)
        np.testing.assert_allclose(got, wanted, atol=1e-6)
        plain = figures.projector(now.embeddings, dimensions=dimensions)
        np.testing.assert_array_equal(plain.data[0].x, trace.x)
    for wrong in ({"labels": [1]}, {"values": [1.0]}, {"titles": ["a"]}, {"dimensions": 4}):
        with pytest.raises(ValueError):
            figures.projector(index, **wrong)
    with pytest.raises(ValueError):
        figures.projector(np.zeros((5, 1)))


def test_values_and_lines() -> None:
    positions = np.random.default_rng(3).normal(size=(6, 3)).astype(np.float32)
    edges = [[0, 5], [0, 2]]
    figure = figures.projector(positions, values=np.arange(6) / 6, value_name="p", edges=edges)
    lines, points = figure.data
    for at, (a, b) in enumerate(edges):
        assert [float(v) for v in lines.x[3 * at : 3 * at + 2]] == [
            positions[a, 0],
            positions[b, 0],
        ]
        assert math.isnan(lines.z[3 * at + 2])
    assert list(points.marker.color) == [n / 6 for n in range(6)]
    assert points.marker.colorbar.title.text == "p"


# --- thumbnails


def test_thumbnails_of_whatever_is_a_picture(tmp_path: Path) -> None:
    picture = coloured(7, (200, 100))
    Image.fromarray(picture).save(tmp_path / "a.png")
    webp = io.BytesIO()
    Image.fromarray(coloured(7, (20, 10))).save(webp, "WEBP")
    sources: list[Any] = [
        picture,
        picture / 255,
        Image.fromarray(picture),
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        (tmp_path / "a.png").read_bytes(),
    ]
    uris = figures.thumbnails(sources, side=50)
    assert all(decoded(uri).size == (50, 25) and is_picture(uri, 7) for uri in uris)
    kept = thumbnail(webp.getvalue(), side=50)
    assert base64.b64decode(kept.split(",")[1]) == webp.getvalue()  # small enough: as it is
    grey = np.zeros((8, 8), np.uint8)
    assert thumbnail(grey) == thumbnail(grey[:, :, None])
    clear = np.zeros((8, 8, 4), np.uint8)
    assert decoded(thumbnail(clear)).convert("RGBA").getpixel((0, 0))[3] == 0


# --- curves


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 20)), max_size=40), st.integers(1, 7))
def test_reliability_is_that_of_plain_loops(pairs: list, bins: int) -> None:
    truth, sure = [ok for ok, _ in pairs], [n / 20 for _, n in pairs]
    predicted, true, counts, error = figures.reliability_bins(truth, sure, bins=bins)
    total = 0.0
    for at in range(bins):
        inside = [
            (ok, p) for ok, p in zip(truth, sure, strict=True) if min(int(p * bins), bins - 1) == at
        ]
        assert counts[at] == len(inside)
        if inside:
            said = sum(p for _, p in inside) / len(inside)
            was = sum(ok for ok, _ in inside) / len(inside)
            assert (predicted[at], true[at]) == pytest.approx((said, was))
            total += len(inside) * abs(said - was)
        else:
            assert math.isnan(predicted[at]) and math.isnan(true[at])
    assert error == pytest.approx(total / max(1, len(pairs)))


def test_a_notebook_is_given_the_figure_as_html() -> None:
    shown = figures.notebook(figures.projector(np.eye(2)), plotly_js="none")
    html = shown._repr_html_()
    assert html.lstrip().startswith("<div") and "figure-thumbnail" in html and len(html) < 50_000


def test_curves_draw_what_they_are_given(index: Index) -> None:
    chosen = index.calibrate(k=3, matcher="vote", least=3)
    figure = figures.cut_points(chosen)
    for trace, name in zip(figure.data, ("precision", "recall", "f1"), strict=True):
        assert list(trace.x) == list(chosen.curve.score)
        assert list(trace.y) == list(getattr(chosen.curve, name))
    assert figure.layout.shapes[0].x0 == chosen.cut.score
    truth, sure = np.array([1, 0, 1, 1]), np.array([0.9, 0.1, 0.92, 0.15])
    figure = figures.reliability(truth, sure, bins=10)
    assert list(figure.data[1].x) == pytest.approx([0.125, 0.91])
    assert list(figure.data[1].y) == [0.5, 1] and list(figure.data[1].customdata) == [2, 2]
    history = {"train loss": [1.0, None, 0.5], "NDCG@10": [0.2, 0.3, 0.4]}
    figure = figures.learning_curves(history, steps=[1, 2, 5])
    assert [list(trace.y) for trace in figure.data] == list(history.values())
    assert [trace.yaxis for trace in figure.data] == ["y", "y2"]
    assert list(figure.data[0].x) == [1, 2, 5]
    alone = figures.learning_curves({"NDCG@10": [0.2, 0.3]})
    assert alone.data[0].yaxis == "y" and list(alone.data[0].x) == [1, 2]
    for wrong in ((truth, sure[:2]), (truth, sure + 1)):
        with pytest.raises(ValueError):
            figures.reliability_bins(*wrong)


# --- galleries


def test_a_gallery_gives_all_of_it(tmp_path: Path, toy_bundle: Path) -> None:
    from tagger.gallery import open_gallery
    from tests.galleries import make_gallery

    gallery = open_gallery(make_gallery(tmp_path / "gallery", toy_bundle, 12))
    figure = figures.projector(gallery, thumbnails=figures.thumbnails(gallery, side=24))
    trace, titles = figure.data[0], [gallery.metadata(n).get("title") for n in range(len(gallery))]
    assert gallery.atlas is not None
    np.testing.assert_array_equal(trace.x, gallery.atlas.positions[:, 0])
    np.testing.assert_allclose(trace.marker.color, gallery.atlas.trust)
    assert list(trace.text) == [text(t or gallery.id(n)) for n, t in enumerate(titles)]
    assert len(figure.layout.meta["thumbnails"]) == len(gallery)
    sheet = figures.neighbour_sheet([2, 4], gallery=gallery, k=3)
    near = gallery.index.neighbours(gallery.id(4), 3)
    names = [
        gallery.metadata(gallery.number_of[one.item.id]).get("title") or one.item.id for one in near
    ]
    assert [one.split("<br>")[0] for one in sheet.data[0].text[5:]] == [text(n) for n in names]
    wanted = [thumbnail(gallery.pictures.get(gallery.number_of[n.item.id]), side=112) for n in near]
    assert [one.source for one in sheet.layout.images[5:]] == wanted
    numbers = figures.neighbour_sheet([2], [[4, 5]], gallery=gallery)
    assert len(numbers.layout.images) == 3


def test_plotly_is_not_imported_before_a_figure_is_made() -> None:
    script = (
        "import sys\nfrom tagger import figures\n"
        "assert not {'plotly', 'umap', 'torch', 'pandas', 'IPython'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- in a browser


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    """A page of Chromium; the test is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api")
    from tests import chromium

    executable = chromium.find()
    if executable is None:
        pytest.skip("no Chromium here; `python tests/chromium.py` installs one")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(executable), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 900, "height": 700})
        page.set_default_timeout(120_000)
        yield page
        browser.close()


@pytest.mark.browser
def test_the_picture_of_the_point_under_the_pointer_shows(page: Any, tmp_path: Path) -> None:
    positions = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], np.float32)
    uris = figures.thumbnails([coloured(n) for n in range(4)])
    figure = figures.projector(
        positions,
        labels=["a", "</script><script>document.title='bad'</script>", "a", "c"],
        thumbnails=uris,
        size=20,
        width=800,
        height=600,
    )
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    (tmp_path / "a.html").write_text(figures.to_html(figure), "utf-8")
    page.goto((tmp_path / "a.html").as_uri())
    page.wait_for_selector(".main-svg")
    place = (
        "([n, x, y]) => { const g = document.querySelector('.js-plotly-plot'),"
        " l = g._fullLayout, b = g.getBoundingClientRect();"
        " return [b.left + l._size.l + l.xaxis.l2p(x), b.top + l._size.t + l.yaxis.l2p(y)]; }"
    )
    for n, (x, y) in enumerate(positions.tolist()):
        left, top = page.evaluate(place, [n, x, y])
        page.mouse.move(left - 60, top - 60)
        page.mouse.move(left, top, steps=3)
        page.wait_for_function(
            "s => { const i = document.querySelector('.figure-thumbnail');"
            " return i.style.display === 'block' && i.src === s && i.complete; }",
            arg=uris[n],
        )
        box = page.locator(".figure-thumbnail").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 900
        assert box["y"] >= 0 and box["y"] + box["height"] <= 700
    page.mouse.move(5, 5)
    page.wait_for_function(
        "() => document.querySelector('.figure-thumbnail').style.display === 'none'"
    )
    assert not problems and page.title() != "bad"


@pytest.mark.browser
def test_every_figure_is_drawn(page: Any, index: Index, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    made = {
        "sheet": figures.neighbour_sheet([coloured(1)], [[0]], pictures=[coloured(2)]),
        "matrix": figures.confusion_matrix([1, 2, 2], [2, 2, 1]),
        "map": figures.projector(index, labels=[n % 3 for n in range(30)]),
        "cuts": figures.cut_points(index.calibrate(k=3, least=3)),
        "reliability": figures.reliability(rng.random(50) < 0.5, rng.random(50)),
        "learning": figures.learning_curves({"loss": [2, 1], "NDCG": [0.1, 0.2]}),
    }
    script = tmp_path / "plotly.js"
    import plotly

    script.write_text(plotly.offline.get_plotlyjs(), "utf-8")
    parts = [figures.to_html(one, plotly_js="none", page=False) for one in made.values()]
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    html = f'<meta charset="utf-8"><script src="plotly.js"></script>{"".join(parts)}'
    (tmp_path / "all.html").write_text(html, "utf-8")
    page.goto((tmp_path / "all.html").as_uri())
    page.wait_for_function(
        "n => document.querySelectorAll('.js-plotly-plot .main-svg .infolayer').length >= n",
        arg=len(made),
    )
    assert page.locator(".js-plotly-plot").count() == len(made) and not problems
    assert page.locator(".imagelayer image").count() == 2
    assert page.locator(".heatmaplayer image").count() == 1
