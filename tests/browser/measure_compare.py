"""Measure how fast voting is: ``python -m tests.browser.measure_compare``.

The page is served with what the settings name, and somebody votes in a Chromium. From the press of
an arrow key until the browser has painted the next pair: that is what a voter waits. Beside it
stands how long the vote itself takes to the server and back, of which they notice nothing unless
they are faster than the pairs that are fetched ahead.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Browser, expect, sync_playwright

from tagger import server
from tagger.services import build_services
from tagger.settings import load_settings
from tests import chromium
from tests.browser.conftest import FLAGS, PATIENCE
from tests.browser.measure_drawing import machine
from tests.browser.person import Person
from tests.browser.voter import Voter

# Presses keys and notes when the next pair is painted: what was asked of the frame has been done
# when a message sent within it arrives.
_VOTE = """
async ([votes, pace]) => {
  const vote = document.querySelector('#compare-tab .cp-vote');
  const pair = document.querySelector('#compare-tab .cp-pair');
  const key = () => `${pair.dataset.left}-${pair.dataset.right}`;
  const painted = () => new Promise((resolve) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => resolve(performance.now());
    channel.port2.postMessage(0);
  }));
  performance.clearResourceTimings();
  performance.setResourceTimingBufferSize(20 * votes + 1000);
  const waits = [];
  for (let i = 0; i < votes; i++) {
    while (vote.dataset.state !== 'ready') await painted();
    const before = key();
    const side = ['ArrowLeft', 'ArrowRight', 'ArrowRight', 'ArrowUp'][(7 * i) % 4];
    const start = performance.now();
    document.body.dispatchEvent(
      new KeyboardEvent('keydown', {key: side, bubbles: true, cancelable: true}));
    let end = 0;
    do end = await painted(); while (vote.dataset.state !== 'ready' || key() === before);
    waits.push(end - start);
    const rest = start + pace - performance.now();
    if (rest > 0) await new Promise((resolve) => setTimeout(resolve, rest));
  }
  while (vote.dataset.waiting !== '0') await painted();
  const trips = performance.getEntriesByType('resource')
    .filter(({name}) => new URL(name).pathname.endsWith('/api/v1/votes'))
    .map(({duration}) => duration);
  return {waits, trips};
}
"""


@dataclass(frozen=True)
class Scene:
    """Milliseconds between two presses, and to the server."""

    name: str
    pace: int
    delay: int = 0


SCENES = (
    Scene("a vote every 0.8 s", 800),
    Scene("as fast as pairs come", 0),
    Scene("a vote every 0.8 s, 200 ms away", 800, delay=200),
)


def watch(browser: Browser, url: str, scene: Scene, votes: int) -> dict[str, list[float]]:
    """Let somebody vote; milliseconds from keys to pairs, and of votes to the server and back."""
    context = browser.new_context(locale="en-US", viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    voter = Voter(Person(context, url))
    if scene.delay:
        session = context.new_cdp_session(voter.page)
        session.send("Network.enable")
        conditions: dict[str, Any] = {"offline": False, "latency": scene.delay}
        conditions |= {"downloadThroughput": -1, "uploadThroughput": -1}
        session.send("Network.emulateNetworkConditions", conditions)
    found: dict[str, list[float]] = voter.page.evaluate(_VOTE, [votes, scene.pace])
    context.close()
    return found


def row(scene: Scene, found: dict[str, list[float]]) -> str:
    """A line of the table."""
    p50, p95 = np.percentile(found["waits"], [50, 95])
    trip50, trip95 = np.percentile(found["trips"], [50, 95])
    return (
        f"| {scene.name} | {p50:.0f} ms | {p95:.0f} ms | {max(found['waits']):.0f} ms "
        f"| {trip50:.0f} ms | {trip95:.0f} ms | {len(found['waits'])} |"
    )


def main() -> int:
    """Measure all scenes and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--votes", type=int, default=100, help="for each scene")
    parser.add_argument(
        "--scenes", type=int, nargs="*", choices=range(len(SCENES)), help="some only"
    )
    parser.add_argument("--json", type=Path, help="write all times there, too")
    arguments = parser.parse_args()
    executable = chromium.find()
    if executable is None:
        print("No Chromium here: `python tests/chromium.py` installs one.")
        return 1
    expect.set_options(timeout=PATIENCE)
    print(machine(), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        services = build_services(load_settings(data_dir=folder, live_rate=1000))
        if services.compare is None or services.explore is None:
            print("There is no gallery to vote on.")
            return 1
        served = server.launch(services)
        services.compare.settle()
        print(
            "| | key to next pair, median | 95th percentile | most "
            "| vote to server and back, median | 95th percentile | votes |"
        )
        print("|---|---|---|---|---|---|---|", flush=True)
        kept = {}
        try:
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(
                    executable_path=str(executable), args=list(FLAGS)
                )
                # What loads only once is loaded.
                watch(browser, served.url, Scene("", 0), 3)
                chosen = (
                    SCENES if arguments.scenes is None else [SCENES[i] for i in arguments.scenes]
                )
                for scene in chosen:
                    kept[scene.name] = watch(browser, served.url, scene, arguments.votes)
                    print(row(scene, kept[scene.name]), flush=True)
                browser.close()
        finally:
            served.close()
            services.close()
    if arguments.json:
        arguments.json.write_text(json.dumps(kept), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
