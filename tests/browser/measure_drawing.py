"""Measure how fast the Draw tab answers: ``python -m tests.browser.measure_drawing``.

The page is served with what the settings name, a Chromium opens it once a visitor, each of whom
draws without a pause, and the page is watched from within: when each question left, and when its
answer stood on the screen. Printed are answers a second and round trips in milliseconds, for one
visitor, for eight at once, and for one who is far away.

Server and browsers share the machine, and eight browsers that paint without a graphics card take
most of it, where eight people bring a machine each. So eight are measured twice: in eight windows,
and with one window beside seven visitors who only ask, as often as a window would.

``--stand-in`` serves a recogniser that needs no time: what page and server take by themselves.
"""

from __future__ import annotations

import argparse
import dataclasses
import http.client
import json
import math
import multiprocessing
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from playwright.sync_api import Browser, expect, sync_playwright

from tagger import server
from tagger.services import Services, build_services
from tagger.settings import load_settings
from tests import chromium
from tests.browser.artist import Artist
from tests.browser.conftest import FLAGS, PATIENCE
from tests.browser.person import Person
from tests.fakes import FakeDraw, make_services

# In the page before its own scripts: notes when questions leave.
_WATCH = """
window.questions = new Map();
const send = window.fetch;
window.fetch = (...request) => {
  try {
    const body = JSON.parse(request[1]?.body ?? '{}');
    const {seq} = [body.data].flat()[0] ?? {};
    if (body.fn_name === 'recognise') window.questions.set(seq, performance.now());
  } catch { /* not one of ours */ }
  return send(...request);
};
"""

# Draws rings that wander, at 60 movements a second, a stroke every one and a half seconds and a
# new drawing every six; notes when answers stand there.
_DRAW = """
async (seconds) => {
  const sleep = (time) => new Promise((resolve) => setTimeout(resolve, time));
  const pad = document.querySelector('.dr-pad');
  const rows = document.querySelector('.dr-rows');
  const shown = new Map();
  new MutationObserver(() => {
    const number = Number(rows.dataset.answer);
    if (number && !shown.has(number)) shown.set(number, performance.now());
  }).observe(rows, {attributes: true, attributeFilter: ['data-answer']});
  const send = (type, turn) => {
    const box = pad.getBoundingClientRect();
    const radius = 0.12 + 0.1 * Math.sin(turn / 7);
    pad.dispatchEvent(new PointerEvent(type, {
      pointerId: 7, pointerType: 'mouse', isPrimary: true, bubbles: true, cancelable: true,
      buttons: type === 'pointerup' ? 0 : 1,
      clientX: box.x + box.width * (0.5 + 0.2 * Math.sin(turn / 11) + radius * Math.cos(turn)),
      clientY: box.y + box.height * (0.5 + 0.2 * Math.cos(turn / 13) + radius * Math.sin(turn)),
    }));
  };
  const clear = document.querySelector('.dr-tools [data-act=clear]');
  const start = performance.now();
  let step = 0;
  let down = false;
  while (performance.now() - start < 1000 * seconds) {
    if (step % 540 === 0) clear.click();
    if (step % 90 === 0) { send('pointerdown', step / 9); down = true; }
    else if (step % 90 === 89) { send('pointerup', step / 9); down = false; }
    else send('pointermove', step / 9);
    step++;
    await sleep(start + step * 1000 / 60 - performance.now());
  }
  const end = performance.now();
  if (down) send('pointerup', step / 9);
  const asked = [...window.questions].filter(([, at]) => at >= start && at < end);
  const last = Math.max(...asked.map(([number]) => number));
  while (!shown.has(last) && performance.now() < end + 2000) await sleep(10);
  return {
    seconds: (end - start) / 1000,
    asked: asked.length,
    trips: asked.filter(([number]) => shown.has(number))
      .map(([number, at]) => shown.get(number) - at),
  };
}
"""


# Milliseconds between two questions of a visitor without a window: the pace of the page's script.
_PACE = 40


@dataclass(frozen=True)
class Scene:
    """How many draw at once in windows and without, and how far away they are in milliseconds."""

    name: str
    windows: int
    others: int = 0
    delay: int = 0


SCENES = (
    Scene("one visitor", 1),
    Scene("eight visitors, seven without a window", 1, others=7),
    Scene("eight visitors in eight windows on this machine", 8),
    Scene("one visitor, 200 ms away", 1, delay=200),
)


@dataclass(frozen=True)
class Figures:
    """Of one visitor."""

    per_second: float
    asked: int
    trips: tuple[float, ...]


def ask(url: str, body: dict[str, Any], visitor: str, seconds: float) -> list[float]:
    """Ask as the page does while somebody draws; the round trips in milliseconds."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
    trips = []
    start = time.perf_counter()
    turn = 0
    while (now := time.perf_counter()) - start < seconds:
        points = [3 * i for i in range(2 + turn % 60)]
        line = [[round(256 + 200 * math.cos(x / 25), 1) for x in points], points]
        data = {"seq": turn, "strokes": [line], "visitor": visitor, "lang": "en"}
        text = json.dumps({**body, "data": data})
        connection.request("POST", where.path, text, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        if "words" in answer:
            trips.append(1000 * (time.perf_counter() - now))
        turn += 1
        time.sleep(max(0.0, now + _PACE / 1000 - time.perf_counter()))
    connection.close()
    return trips


def crowd(url: str, body: dict[str, Any], count: int, seconds: float) -> list[list[float]]:
    """Let so many ask at once; run in a process of its own, so as not to take the server's."""
    with ThreadPoolExecutor(max(1, count)) as people:
        visitors = [f"{i:032x}" for i in range(count)]
        return list(people.map(lambda visitor: ask(url, body, visitor, seconds), visitors))


def question(artist: Artist) -> tuple[str, dict[str, Any]]:
    """Where the page sends its questions, and in what form."""
    with artist.page.expect_request(
        lambda request: '"recognise"' in (request.post_data or "")
    ) as sent:
        artist.draw([[(0.4, 0.4), (0.6, 0.6)]])
    artist.wait_for_words()
    return sent.value.url, json.loads(sent.value.post_data or "{}")


def watch(browser: Browser, url: str, scene: Scene, seconds: float) -> list[Figures]:
    """Let the visitors of a scene draw at the same time."""
    artists = []
    for _ in range(scene.windows):
        context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 900})
        context.set_default_timeout(PATIENCE)
        context.add_init_script(_WATCH)
        artist = Artist(Person(context, url))
        if scene.delay:
            session = context.new_cdp_session(artist.page)
            session.send("Network.enable")
            session.send(
                "Network.emulateNetworkConditions",
                {
                    "offline": False,
                    "latency": scene.delay,
                    "downloadThroughput": -1,
                    "uploadThroughput": -1,
                },
            )
        artists.append(artist)
    url, body = question(artists[0])
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as elsewhere:
        # Begun before the clock runs.
        elsewhere.submit(crowd, url, body, 0, 0).result()
        others = elsewhere.submit(crowd, url, body, scene.others, seconds)
        figures = watch_windows(artists, seconds)
        for trips in others.result():
            figures.append(Figures(len(trips) / seconds, len(trips), tuple(trips)))
    return figures


def watch_windows(artists: Sequence[Artist], seconds: float) -> list[Figures]:
    """Let the visitors with a window draw."""
    begin = f"(seconds) => {{ window.measured = ({_DRAW})(seconds); }}"
    for artist in artists:
        artist.page.evaluate(begin, seconds)
    results = [artist.page.evaluate("window.measured") for artist in artists]
    for artist in artists:
        # In the end the words are those of the last stroke.
        expect(artist.at("results")).to_have_attribute("data-state", "done")
        artist.page.context.close()
    return [
        Figures(len(result["trips"]) / result["seconds"], result["asked"], tuple(result["trips"]))
        for result in results
    ]


def row(scene: Scene, figures: Sequence[Figures]) -> str:
    """A line of the table."""
    trips = np.concatenate([each.trips for each in figures])
    p50, p95 = np.percentile(trips, [50, 95])
    rates = [each.per_second for each in figures]
    rate = f"{np.mean(rates):.1f} (least {min(rates):.1f})" if len(rates) > 1 else f"{rates[0]:.1f}"
    return f"| {scene.name} | {rate} | {p50:.0f} ms | {p95:.0f} ms | {len(trips)} |"


def machine() -> str:
    """Where it was measured."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return f"{platform.system()} {platform.machine()}, {cpus} CPUs, load {load:.1f} before it began"


def main() -> int:
    """Measure all scenes and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12, help="for each scene")
    parser.add_argument(
        "--scenes", type=int, nargs="*", choices=range(len(SCENES)), help="some only"
    )
    parser.add_argument("--stand-in", action="store_true", help="a recogniser without a network")
    parser.add_argument("--json", type=Path, help="write all round trips there, too")
    arguments = parser.parse_args()
    executable = chromium.find()
    if executable is None:
        print("No Chromium here: `python tests/chromium.py` installs one.")
        return 1
    expect.set_options(timeout=PATIENCE)
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        services: Services
        if arguments.stand_in:
            services = make_services(draw=FakeDraw())
        else:
            services = build_services(load_settings(data_dir=folder))
        if services.draw is None:
            print("There is no recogniser of drawings here; try --stand-in.")
            return 1
        served = server.launch(services)
        print("| | answers a second | round trip, median | 95th percentile | answers |")
        print("|---|---|---|---|---|", flush=True)
        kept = {}
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=str(executable), args=list(FLAGS)
                )
                # What loads only once is loaded.
                watch(browser, served.url, Scene("", 1), 1)
                chosen = (
                    SCENES if arguments.scenes is None else [SCENES[i] for i in arguments.scenes]
                )
                for scene in chosen:
                    figures = watch(browser, served.url, scene, arguments.seconds)
                    print(row(scene, figures), flush=True)
                    kept[scene.name] = [dataclasses.asdict(each) for each in figures]
                browser.close()
        finally:
            served.close()
            services.close()
    if arguments.json:
        arguments.json.write_text(json.dumps(kept), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
