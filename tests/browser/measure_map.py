"""Measure the map of the Explore tab: ``python -m tests.browser.measure_map``.

Galleries of made-up points are served one after the other, a Chromium that has seen nothing of the
page before opens the tab, and the page is watched from within. Both renderers are measured: the
canvas, and plotly's WebGL, which a browser without a graphics card computes on the processor (the
page chooses it there only when the address asks with ``?renderer=webgl``).

Printed are, in milliseconds: from the click on the tab until the points are painted and can be
pointed at, and until the renderer that was asked for has painted them (plotly's script included);
from a movement of the pointer to the card that names the point, and to its picture, of a pointer
that jumps all over the map; the same picture of one that walks through it, and how much of that
was waiting for the picture alone; the frames of a drag; and from the end of a lasso to the
selection as painted, and to what the set shares, as the server counts it. And the bytes that came
for the points.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, expect, sync_playwright

from tagger import bundles, server
from tagger.services import build_services
from tagger.settings import load_settings
from tests import chromium, galleries
from tests.browser.conftest import FLAGS, PATIENCE
from tests.browser.measure_drawing import machine
from tests.browser.person import Person

COUNTS = (2_000, 10_000, 50_000)
RENDERERS = ("canvas", "webgl")

# In the page before its own scripts: when the tab was chosen, and what was there when.
_WATCH = """
window.seen = {};
performance.setResourceTimingBufferSize(10_000);
addEventListener('click', (event) => {
  if (!event.target.closest('[role=tab]')) return;
  const start = performance.now();
  window.seen = {};
  const look = () => {
    const map = document.querySelector('.ex-map');
    const stage = document.querySelector('.ex-stage');
    if (map?.dataset.ready === 'true' && stage.dataset.state === 'ready') {
      window.seen.usable ??= performance.now() - start;
      // Only the frame after it is on the screen.
      if (window.seen.renderer === map.dataset.renderer) {
        window.seen[map.dataset.renderer] ??= performance.now() - start;
      }
      window.seen.renderer = map.dataset.renderer;
    }
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}, true);
"""

# What a hand does on the map, and how long it takes until it is seen.
_HANDLE = """
async () => {
  const map = document.querySelector('.ex-map .mp-over');
  const card = document.querySelector('.ex-hover');
  const picture = document.querySelector('.ex-hover-picture');
  const panel = document.querySelector('.ex-panel');
  const box = map.getBoundingClientRect();
  const frame = () => new Promise(requestAnimationFrame);
  const shown = async () => { await frame(); await new Promise((done) => setTimeout(done)); };
  const send = (type, x, y, buttons = 0) => map.dispatchEvent(new PointerEvent(type, {
    pointerId: 9, pointerType: 'mouse', isPrimary: true, bubbles: true, cancelable: true, buttons,
    button: type === 'pointermove' ? -1 : 0, clientX: box.x + x, clientY: box.y + y,
  }));
  const tool = (name) => document.querySelector(`.mp-tools [data-tool=${name}]`).click();
  const until = async (test) => {
    const end = performance.now() + 30_000;
    while (!test() && performance.now() < end) await new Promise((done) => setTimeout(done, 1));
    return performance.now();
  };
  const result = { hover: [], picture: [], walk: [], late: [], drag: [] };

  // The pointer jumps all over the map: nothing can be known before.
  let last = '';
  for (let i = 0; i < 400 && result.hover.length < 40; i++) {
    const turn = i * 2.4;
    const far = Math.sqrt(i / 400) * 0.45;
    const start = performance.now();
    const [across, down] = [0.5 + far * Math.cos(turn), 0.5 + far * Math.sin(turn)];
    send('pointermove', box.width * across, box.height * down);
    if (card.hidden || card.dataset.number === last) continue;
    last = card.dataset.number;
    await shown();
    result.hover.push(performance.now() - start);
    result.picture.push(await until(() => picture.complete && picture.naturalWidth) - start);
    await shown();
  }

  // It walks as a hand does that looks: a pixel or so a frame, and the map tells what is next to
  // it. Pictures seen before do not count.
  const seen = new Set();
  for (let i = 0; i < 700; i++) {
    const [across, down] = [0.3 + 0.4 * i / 700, 0.5 + 0.12 * Math.sin(i / 60)];
    const start = performance.now();
    send('pointermove', box.width * across, box.height * down);
    if (!card.hidden && !seen.has(card.dataset.number)) {
      seen.add(card.dataset.number);
      await shown();
      const carded = performance.now();
      const pictured = await until(() => picture.complete && picture.naturalWidth);
      result.walk.push(pictured - start);
      result.late.push(pictured - carded);
    }
    await frame();
  }

  tool('pan');
  send('pointerdown', box.width / 2, box.height / 2, 1);
  for (let i = 0; i < 30; i++) {
    const start = performance.now();
    send('pointermove', box.width / 2 + 6 + 5 * i, box.height / 2 + 3 * i, 1);
    await shown();
    result.drag.push(performance.now() - start);
  }
  send('pointerup', box.width / 2, box.height / 2);
  tool('reset');
  await new Promise((done) => setTimeout(done, 600));

  // A line around the left part of the map, with as many corners as a hand makes.
  tool('lasso');
  const share = %SHARE%;
  const corner = (i) => {
    const turn = 2 * Math.PI * i / 200;
    return [
      box.width * share * (0.5 + 0.5 * Math.cos(turn)),
      box.height * (0.5 + 0.5 * Math.sin(turn)) * (1 + 0.02 * Math.sin(9 * turn)),
    ];
  };
  send('pointerdown', ...corner(0), 1);
  for (let i = 1; i < 200; i++) send('pointermove', ...corner(i), 1);
  await shown();
  const lifted = performance.now();
  send('pointerup', ...corner(199));
  await shown();
  result.lasso = performance.now() - lifted;
  const pane = document.querySelector('.ex-set');
  result.shared = await until(() => pane.dataset.state === 'done') - lifted;
  result.selected = Number(panel.dataset.selected);
  const fetched = (part) => performance.getEntriesByType('resource')
    .find(({name}) => name.includes(part));
  const sizes = fetched('/map/points');
  result.points = [sizes.encodedBodySize, sizes.decodedBodySize];
  result.script = fetched('plotly.js')?.encodedBodySize ?? 0;
  return result;
}
"""

_HEADER = (
    "| points | renderer | usable after | painted by it after | card | its picture | on a walk "
    "| waited for it | frame of a drag | lasso (points) | what they share | bytes a point (sent) |"
)


@dataclass(frozen=True)
class Figures:
    """Of one visit; times in milliseconds."""

    count: int
    renderer: str
    usable: float
    painted: float
    hover: tuple[float, ...]
    picture: tuple[float, ...]
    walk: tuple[float, ...]
    late: tuple[float, ...]
    drag: tuple[float, ...]
    lasso: float
    selected: int
    shared: float
    bytes_sent: int
    bytes_read: int
    script_bytes: int

    def row(self) -> str:
        """A line of the table."""

        def pair(values: Sequence[float]) -> str:
            p50, p95 = np.percentile(values, [50, 95])
            return f"{p50:.0f} / {p95:.0f} ms"

        return (
            f"| {self.count:,} | {self.renderer} | {self.usable:.0f} ms | {self.painted:.0f} ms "
            f"| {pair(self.hover)} | {pair(self.picture)} | {pair(self.walk)} | {pair(self.late)} "
            f"| {pair(self.drag)} "
            f"| {self.lasso:.0f} ms ({self.selected:,}) | {self.shared:.0f} ms "
            f"| {self.bytes_read / self.count:.1f} ({self.bytes_sent / self.count:.1f}) |"
        )


def visit(browser: Browser, url: str, count: int, renderer: str, share: float) -> Figures:
    """Open the tab as somebody whose browser has nothing of the page yet, and use the map."""
    context = browser.new_context(
        locale="en-US", viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE)
    context.add_init_script(_WATCH)
    page = Person(context, f"{url}?renderer={renderer}").page
    # What the first tab still does in the background is none of the map's time.
    page.wait_for_load_state("networkidle")
    page.get_by_role("tab", name="Explore").click()
    page.wait_for_function("(renderer) => window.seen[renderer] > 0", arg=renderer)
    seen: dict[str, Any] = page.evaluate("window.seen")
    page.evaluate("document.querySelector('.ex-stage').scrollIntoView()")
    done: dict[str, Any] = page.evaluate(_HANDLE.replace("%SHARE%", str(share)))
    context.close()
    return Figures(
        count=count,
        renderer=renderer,
        usable=seen["usable"],
        painted=seen[renderer],
        hover=tuple(done["hover"]),
        picture=tuple(done["picture"]),
        walk=tuple(done["walk"]),
        late=tuple(done["late"]),
        drag=tuple(done["drag"]),
        lasso=done["lasso"],
        selected=done["selected"],
        shared=done["shared"],
        bytes_sent=done["points"][0],
        bytes_read=done["points"][1],
        script_bytes=done["script"],
    )


@contextmanager
def serving(count: int, folder: Path) -> Iterator[str]:
    """The page with a gallery of so many points; its address."""
    settings = load_settings(data_dir=str(folder / "data"))
    loaded = bundles.load(settings.bundle)
    gallery = galleries.make_large(
        folder / "gallery", loaded.hash, len(loaded.tags), count, dimension=64
    )
    services = build_services(load_settings(data_dir=str(folder / "data"), gallery=str(gallery)))
    assert services.explore is not None
    services.explore.settle()
    served = server.launch(services)
    try:
        yield served.url
    finally:
        served.close()
        services.close()


def main() -> int:
    """Measure all and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", type=int, nargs="+", default=COUNTS, metavar="N")
    parser.add_argument("--renderers", nargs="+", choices=RENDERERS, default=RENDERERS)
    parser.add_argument("--share", type=float, default=0.55, help="of the width, for the lasso")
    parser.add_argument("--json", type=Path, help="write all figures there, too")
    arguments = parser.parse_args()
    executable = chromium.find()
    if executable is None:
        print("No Chromium here: `python tests/chromium.py` installs one.")
        return 1
    expect.set_options(timeout=PATIENCE)
    print(machine(), "(median / 95th percentile)", sep="\n", flush=True)
    print(_HEADER, "|---" * (_HEADER.count("|") - 1) + "|", sep="\n", flush=True)
    kept = []
    with sync_playwright() as playwright:
        for count in arguments.counts:
            with tempfile.TemporaryDirectory() as folder, serving(count, Path(folder)) as url:
                for renderer in arguments.renderers:
                    browser = playwright.chromium.launch(
                        executable_path=str(executable), args=list(FLAGS)
                    )
                    figures = visit(browser, url, count, renderer, arguments.share)
                    browser.close()
                    print(figures.row(), flush=True)
                    kept.append(dataclasses.asdict(figures))
    if arguments.json:
        arguments.json.write_text(json.dumps(kept), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
