"""Sets in order and the owner's report, used as people use them: waited for is what is seen."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Route, expect

from tagger import server
from tagger.collection import NewVote
from tagger.comparing.ranking import evaluate
from tagger.preference import Ranker
from tagger.services import Services
from tagger.ui import files
from tagger.ui.report_words import REPORT
from tests import toy
from tests.browser.conftest import Visit
from tests.browser.person import Person
from tests.browser.test_tag_tab import _CONTRASTS, picture
from tests.comparing.made import compare_of, make_services, write_ranker

TOKEN = "an owner's token"
RANKING = re.compile(r"/api/v1/rank\?")
COUNT = 24


class Orderer:
    """Somebody at a section of the Compare tab."""

    def __init__(self, person: Person, section: str = "order") -> None:
        self.person = person
        self.page = person.page
        self.root = self.page.locator(f"#compare-{section}")
        self.letters = {"order": "od", "report": "rp"}[section]
        self.page.locator("#tab-compare-button").click()
        self.page.locator(f"#compare-tab label:has(input[value={section}])").click()
        expect(self.root.locator("[data-ready=true]")).to_be_visible()

    def at(self, name: str) -> Locator:
        """An element of the section by the name of its class."""
        return self.root.locator(f".{self.letters}-{name}")

    def button(self, name: str | re.Pattern[str]) -> Locator:
        return self.root.get_by_role("button", name=name)

    @property
    def message(self) -> Locator:
        return self.root.locator(".tg-problem")

    def wait(self, state: str = "done") -> None:
        expect(self.root.locator("[data-ready=true]")).to_have_attribute("data-state", state)

    def names(self) -> list[str]:
        """Of the pictures that are drawn, in their order."""
        return self.at("name").all_inner_texts()

    def save(self, button: Locator) -> bytes:
        with self.page.expect_download() as download:
            button.click()
        return download.value.path().read_bytes()


Begin = Callable[..., Orderer]


@pytest.fixture(scope="module")
def comparing(
    toy_bundle: Path, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    made = make_services(toy_bundle, tmp_path_factory.mktemp("order"), owner_token=TOKEN)
    yield made
    made.close()


@pytest.fixture(scope="module")
def order_url(comparing: Services) -> Iterator[str]:
    served = server.launch(comparing)
    yield served.url
    served.close()


@pytest.fixture
def begin(visit: Visit, order_url: str) -> Begin:
    def open_section(section: str = "order", **kind: object) -> Orderer:
        return Orderer(visit(order_url, **kind), section)

    return open_section


def colours() -> dict[str, tuple[int, int, int]]:
    """Of the pictures in the folder, by their paths: from blue to red, told apart by the toy."""
    steps = np.linspace(0, 250, COUNT).astype(int).tolist()
    return {
        f"set/{'deep/' if n % 3 == 0 else ''}p{n}.png": (red, 20, 250 - red)
        for n, red in enumerate(steps)
    }


def make_folder(root: Path) -> dict[str, bytes]:
    """A folder of pictures, and what else lies in folders."""
    made = {path: picture(colour) for path, colour in colours().items()}
    others = {
        "set/broken.png": b"nothing that is a picture",
        "set/empty.jpg": b"",
        "set/notes.txt": b"not a picture",
        "set/.hidden/x.png": made["set/p1.png"],
    }
    for path, data in {**made, **others}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return made


def illegible(orderer: Orderer) -> list[object]:
    """Texts with less contrast than WCAG asks for, but for what can do nothing now."""
    return [
        entry
        for entry in orderer.page.evaluate(_CONTRASTS)
        if entry[1] < 4.5 and not str(entry[0]).startswith("Stop")
    ]


def test_a_folder_is_put_in_order_judged_again_and_saved(
    begin: Begin, comparing: Services, toy_bundle: Path, tmp_path: Path
) -> None:
    made = make_folder(tmp_path)
    compare = compare_of(comparing)
    answer = compare.rank([(path, data) for path, data in made.items()], described=True)
    scores = {one["name"]: one["score"] for one in answer["pictures"]}
    expected = sorted(scores, key=lambda path: -scores[path])
    assert len(set(scores.values())) > COUNT // 2

    orderer = begin()
    sent: list[str] = []
    orderer.page.on("request", lambda r: sent.append(r.url) if RANKING.search(r.url) else None)
    orderer.at("directory").set_input_files(tmp_path / "set")
    orderer.wait()
    expect(orderer.at("status")).to_have_text(f"{COUNT} pictures in order")
    expect(orderer.at("note")).to_have_text("1 file is no picture and was left out.")
    orderer.button("2 with a problem").click()
    expect(orderer.at("problems")).to_contain_text("set/empty.jpg The file is empty.")
    expect(orderer.at("problems")).to_contain_text("set/broken.png")
    rows = list(
        csv.DictReader(io.StringIO(orderer.save(orderer.button("CSV")).decode("utf-8-sig")))
    )
    assert [float(row["score"]) for row in rows] == sorted(scores.values(), reverse=True)
    assert {row["file"]: float(row["score"]) for row in rows} == scores
    shown = [row["file"] for row in rows]
    drawn = orderer.names()
    assert drawn == [path.split("/")[-1] for path in shown[: len(drawn)]]

    # Ratings, as a spreadsheet of half the world writes them.
    ratings = {path: n % 5 + 0.5 for n, path in enumerate(expected) if n % 4}
    table = "\ufeffFile;Rating\r\n" + "".join(
        f'"{path.split("/")[-1]}";{rating:.1f}\r\n'.replace(".5\r", ",5\r")
        for path, rating in ratings.items()
    )
    orderer.at("rate-file").set_input_files(
        {"name": "mine.csv", "mimeType": "text/csv", "buffer": (table + "none.png;3\r\n").encode()}
    )
    expect(orderer.at("figures")).to_have_attribute("data-state", "done")
    told = evaluate([(scores[path], rating) for path, rating in ratings.items()])
    assert told is not None
    figures = orderer.at("ndcg").locator("dd").all_inner_texts()
    assert figures == [f"{told['ndcg'][k]:.3f}" for k in ("10", "50", "100")]
    expect(orderer.at("pairwise")).to_contain_text(f"{100 * told['pairwise_accuracy']:.0f}%")
    expect(orderer.at("rated")).to_contain_text(f"{len(ratings)} of {COUNT} pictures")
    expect(orderer.at("lost")).to_contain_text("none.png")
    assert illegible(orderer) == []

    # Another ranker, without sending a picture again.
    batches = len(sent)
    weights = np.zeros(8 + len(toy.TAGS), np.float32)
    weights[8 + toy.NAMES.index("blue")] = 1
    other = write_ranker(tmp_path / "other.json", toy_bundle, name="blue", weights=weights)
    orderer.at("ranker-file").set_input_files(other)
    texts = [one["description"] for one in answer["pictures"]]
    again = compare.rescore(texts, model=compare.model.hash, profile=Ranker.load(other).to_dict())[
        "scores"
    ]
    best = max(again)
    expect(orderer.at("score").first).to_contain_text(f"{best:.2f}")
    assert len(sent) == batches

    # The first three as an archive.
    orderer.at("most").fill("3")
    expect(orderer.at("tile")).to_have_count(3)
    archive = zipfile.ZipFile(io.BytesIO(orderer.save(orderer.button("Zip in order"))))
    assert archive.testzip() is None
    first, *entries = archive.namelist()
    listed = csv.DictReader(io.StringIO(archive.read(first).decode("utf-8-sig")))
    for entry, row, name in zip(entries, listed, orderer.names(), strict=True):
        assert entry == f"{int(row['rank']):03}_{name}"
        assert archive.read(entry) == made[row["file"]]

    # A file that is no ranker is refused, and the order stays.
    orderer.at("ranker-file").set_input_files(
        {"name": "no.json", "mimeType": "application/json", "buffer": b"{}"}
    )
    expect(orderer.message).to_be_visible()
    expect(orderer.at("ranker")).to_have_value("cheerfulness")
    orderer.person.troubles.clear()  # that the browser says so, too


def test_stop_go_on_and_a_server_that_has_no_time(begin: Begin, tmp_path: Path) -> None:
    orderer = begin(width=390, height=844, locale="ja-JP", color_scheme="dark", troubles=False)
    page = orderer.page
    given = [tmp_path / path for path in make_folder(tmp_path)]
    held: list[Route] = []
    page.route(RANKING, lambda route: held.append(route))
    orderer.at("files").set_input_files(given)
    orderer.wait("running")
    orderer.person.wait_until(lambda: len(held) == 2)
    place = "(node) => [node.getBoundingClientRect().top + scrollY, node.offsetHeight]"
    before = orderer.at("list").evaluate(place)
    problem = {"code": "too-fast", "detail": "Wait.", "status": 429}
    held[0].fulfill(status=429, body=json.dumps(problem), content_type="application/problem+json")
    expect(orderer.at("status")).to_contain_text("混んでいます")
    orderer.button("中止").click()
    orderer.wait("stopped")
    expect(orderer.at("status")).to_contain_text(f"中止：{COUNT}枚中0枚")
    page.unroute(RANKING)
    orderer.button("続ける").click()
    orderer.wait()
    expect(orderer.at("status")).to_have_text(f"{COUNT}枚を順に並べました")
    expect(orderer.at("rank").first).to_have_text("1")
    # As high from the start as at the end, and nowhere else.
    assert orderer.at("list").evaluate(place) == before
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert illegible(orderer) == []
    # What was given before is not given twice.
    orderer.at("files").set_input_files(given[:2])
    expect(orderer.at("status")).to_have_text(f"{COUNT}枚を順に並べました")

    # By keys, and large.
    orderer.at("open").first.focus()
    page.keyboard.press("End")
    expect(orderer.at("open").last).to_be_focused()
    page.keyboard.press("Enter")
    expect(orderer.at("large")).to_have_attribute("data-preview", "shown")
    expect(orderer.at("large-facts")).to_contain_text(f"{COUNT}枚中{COUNT}位")
    page.keyboard.press("ArrowLeft")
    expect(orderer.at("large-facts")).to_contain_text(f"{COUNT}枚中{COUNT - 1}位")
    page.keyboard.press("Escape")
    expect(orderer.at("open").nth(-2)).to_be_focused()
    orderer.button("すべて消す").click()
    orderer.wait("empty")
    expect(orderer.at("tile")).to_have_count(0)


TABLES: list[tuple[str | bytes, dict[str, float] | None, list[int]]] = [
    ("file,rating\na.png,1\nb.png,2.5\n", {"a.png": 1, "b.png": 2.5}, []),
    ("\ufefffile;rating\r\na;1,5\r\nb;x\r\nc;\r\n", {"a": 1.5}, [3]),
    ("a.png\t3\nb.png\t-1e1", {"a.png": 3, "b.png": -10}, []),
    ("sep=;\nname;rating\na;2\n", {"a": 2}, []),
    (
        '"a ""b"", c.png", "4"\n\n"two\nlines.png",5\nd,\n,7\n',
        {'a "b", c.png': 4, "two\nlines.png": 5},
        [6],
    ),
    ("rank,score,file,rating\n1,0.5,'=a.png,4\n2,0.4,b.png,\n", {"'=a.png": 4}, []),
    ("a,1\na,2\n", {"a": 1.5}, []),
    ("画像;評価\n猫.png;5\n", {"猫.png": 5}, []),
    ("ファイル名,評価\r\n猫.png,4\r\n".encode("cp932"), {"猫.png": 4}, []),
    ("file,rating\né.png,1\n".encode("utf-16"), {"é.png": 1}, []),
    ("file,text\na,b\n", None, []),
    ("", None, []),
]
NAMES = [
    "猫 の絵.png",
    "../a:b?.JPG",
    "x" * 200 + ".webp",
    "\u202egnp.exe.png",
    "",
    ".png",
    "a/b\\c.gif",
]


def test_tables_and_archives_are_what_other_programs_read(browser: Browser) -> None:
    page = browser.new_page()
    names = ("zip.js", "order_table.js", "order_files.js")
    page.add_script_tag(content=files.text(*names))
    read = """([bytes]) => {
      const found = parseRatings(decodeText(new Uint8Array(bytes).buffer, 'ja'));
      return found && [Object.fromEntries(found.ratings.map((r) => [r.name, r.rating])), found.bad];
    }"""
    for text, ratings, bad in TABLES:
        data = text if isinstance(text, bytes) else text.encode()
        found = page.evaluate(read, [list(data)])
        assert found == (None if ratings is None else [ratings, bad]), text

    match = """([names, paths]) => {
      const {found, lost} = matchRatings(names.map((name, rating) => ({name, rating})), paths);
      return [[...found], lost];
    }"""
    paths = ["s/a.png", "s/t/a.png", "s/B.jpg", "s/=x.png"]
    wanted = ["t\\a.png", "b", "a.png", "C:/me/s/a.png", "'=x.png", "q"]
    assert page.evaluate(match, [wanted, paths]) == [
        [[1, 0], [2, 1], [0, 3], [3, 4]],
        ["a.png", "q"],
    ]

    rows = [["file", "n"], ['=1+1 "x", y', 1.5], ["\tz", -2], ["＝a\nb", 0], ["plain", 3]]
    text = page.evaluate("(rows) => tableText(rows)", rows)
    guarded = [[f"'{c}" if str(c)[0] in "=\t＝" else str(c) for c in row] for row in rows]
    assert list(csv.reader(io.StringIO(text, newline=""))) == guarded

    contents = [bytes([n]) * (n * 1_001) for n in range(len(NAMES))]
    made = page.evaluate(
        """async (names) => {
          const entries = names.map((name, n) => ({
            name: entryName(n + 1, names.length, name),
            blob: new File([new Uint8Array(n * 1001).fill(n)], name, {lastModified: 1.7e12}),
          }));
          const archive = await storedZip(entries);
          const bytes = new Uint8Array(await archive.arrayBuffer());
          return [entries.map(({name}) => name), Array.from(bytes)];
        }""",
        NAMES,
    )
    archive = zipfile.ZipFile(io.BytesIO(bytes(made[1])))
    assert archive.testzip() is None
    assert archive.namelist() == made[0]
    for name, content, info in zip(made[0], contents, archive.infolist(), strict=True):
        assert archive.read(name) == content
        assert zlib.crc32(content) == info.CRC and info.compress_type == zipfile.ZIP_STORED
        assert info.date_time[0] == 2023
        assert re.fullmatch(r"\d{3}(_[^\\/:*?\"<>|\u202e]{1,80})?(\.\w{1,8})?", name), name
    assert made[0][0] == "001_猫 の絵.png" and made[0][1] == "002_a-b.JPG"

    # Folders within folders, told in pieces, as browsers do.
    walk = """async () => {
      const file = (path) => ({
        isDirectory: false, name: path, fullPath: path,
        file: (done, failed) => path.endsWith('!') ? failed() : done(new File(['x'], path)),
      });
      const folder = (path, parts) => ({
        isDirectory: true, name: path.split('/').at(-1), fullPath: path,
        createReader: () => ({readEntries: (done) => done(parts.shift() ?? [])}),
      });
      const root = () => folder('/s', [[file('/s/1.png')], [
        folder('/s/t', [[file('/s/t/2.png')]]),
        folder('/s/.git', [[file('/s/.git/3.png')]]), file('/s/4!'),
      ]]);
      const item = (entry, file) => (
        {kind: 'file', webkitGetAsEntry: () => entry, getAsFile: () => file});
      const given = () => ({items: [item(root(), null), item(null, new File(['x'], '5.png'))]});
      const told = (found) => found.map(({path, file}) => [path, Boolean(file)]);
      return [told(await droppedFiles(given(), 99)), told(await droppedFiles(given(), 1))];
    }"""
    found = page.evaluate(walk)
    assert found[0] == [["s/1.png", True], ["s/t/2.png", True], ["s/4!", False], ["5.png", True]]
    assert found[1] == [["s/1.png", True]]
    page.close()


@pytest.fixture
def voted(comparing: Services) -> dict[str, Any]:
    """What votes say of which one voter always takes the left one."""
    compare = compare_of(comparing)
    pool = compare.pool()
    ids = list(itertools.islice(pool.numbers, 5))
    pairs = list(itertools.combinations(range(5), 2))
    for voter in range(4):
        for left, right in pairs + [(b, a) for a, b in pairs]:
            choice = "left" if voter == 3 or left < right else "right"
            compare.store.save_vote(
                NewVote(
                    left=ids[left],
                    right=ids[right],
                    choice=choice,
                    contributor=compare.store.contributor_of(f"{voter:032x}"),
                    consent=True,
                    model_hash=compare.model.hash,
                    gallery=pool.hash,
                    milliseconds=900,
                )
            )
    return compare.report(TOKEN)


def test_the_owner_reads_what_all_votes_say(begin: Begin, voted: dict[str, Any]) -> None:
    owner = begin("report", troubles=False)
    expect(owner.at("room")).to_be_hidden()
    owner.at("token").fill("a guess")
    owner.page.keyboard.press("Enter")
    expect(owner.at("refused")).to_have_text(REPORT["en"]["wrong_token"])
    owner.at("token").fill(TOKEN)
    owner.page.keyboard.press("Enter")
    expect(owner.at("room")).to_be_visible()
    expect(owner.at("sum")).to_have_text(f"Votes: {voted['votes']}, voters: {voted['voters']}")
    left = voted["left"]
    expect(owner.at("side")).to_contain_text(f"{100 * left['value']:.1f}% of {left['count']}")
    expect(owner.at("side")).to_contain_text(f"({100 * left['low']:.1f}%")
    expect(owner.at("doubles")).to_contain_text(f"{voted['duplicates']} votes")
    rows = owner.at("row")
    expect(rows).to_have_count(len(voted["standings"]))
    first = voted["standings"][0]
    expect(rows.first).to_contain_text(first["picture"]["title"])
    expect(rows.first).to_contain_text(f"{first['strength']:.2f}")
    decode = "(image) => image.decode().then(() => image.naturalWidth)"
    assert rows.first.locator("img").evaluate(decode) == 48
    # The dot lies on its line, and what is stronger lies to the right.
    dots = [box["x"] for box in (d.bounding_box() for d in owner.at("dot").all()) if box]
    assert dots == sorted(dots, reverse=True) and len(set(dots)) == len(dots)
    for row in rows.all():
        line, dot = (row.locator(f".rp-{n}").bounding_box() for n in ("line", "dot"))
        assert line and dot
        assert line["x"] - 7 <= dot["x"] + 6 <= line["x"] + line["width"] + 7
    assert illegible(owner) == []
    exported = owner.save(owner.button("JSON lines")).decode().splitlines()
    assert len(exported) == voted["votes"]
    # The window has the token, for this section and for the Draw tab's.
    kept = "sessionStorage.getItem('tagger-owner')"
    assert owner.page.evaluate(kept) == TOKEN
    owner.button("Lock again").click()
    expect(owner.at("token")).to_be_focused()
    expect(owner.at("row")).to_have_count(0)
    assert owner.page.evaluate(kept) is None
