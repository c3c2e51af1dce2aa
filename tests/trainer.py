"""Stands for ``python -m tagger train sketch_tuning``: what it does, its parameter ``seed`` says.

It is a program of its own; whatever test starts it looks at what it leaves.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

BETTER, WORSE, FAILS, STUBBORN, SILENT, TORN, PATIENT, LYING = range(8)
SECRETS = ("TAGGER_OWNER_TOKEN", "TAGGER_HUB_TOKEN", "TAGGER_DATABASE")


def verdict(passes: bool) -> dict[str, Any]:
    change = {"count": 40, "before": 0.5, "after": 0.9, "low": 0.2, "high": 0.6}
    reason = "better" if passes else "worse-frozen"
    return {"passes": passes, "reason": reason, "frozen": change, "held_back": change}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs=2)
    for name in ("data", "collection", "bundle", "out", "work", "run"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    assert given.words == ["train", "sketch_tuning"]
    values = dict(item.removeprefix("sketch_tuning.").split("=", 1) for item in given.set)
    parameters = {name: json.loads(value) for name, value in values.items()}
    way = parameters.get("seed", BETTER)
    given.work.mkdir()
    lines = given.collection.read_text().splitlines()
    seen = {
        "parameters": parameters,
        "drawings": len(lines),
        "secrets": [name for name in SECRETS if name in os.environ],
        "data": (given.data / "sketches.parquet").is_file(),
        "mode": oct(given.collection.stat().st_mode & 0o777),
        "nice": os.nice(0),
    }
    (given.run / "seen.json").write_text(json.dumps(seen))
    curve = [{"epoch": 1, "loss": 2.5, "frozen": 0.5, "held_back": 0.25}]
    progress = {"done": 0.5, "step": "training", "curve": curve}
    part = given.run / "progress.part"
    part.write_text(json.dumps(progress))
    part.replace(given.run / "progress.json")
    if way == FAILS:
        print("train: the \x1b[31mloss is no longer a number", file=sys.stderr)
        return 2
    if way in (STUBBORN, PATIENT):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        if way == STUBBORN:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        (given.run / "pids.part").write_text(f"{os.getpid()} {child.pid}")
        (given.run / "pids.part").replace(given.run / "pids")
        time.sleep(600)
    shutil.copytree(given.bundle, given.out, ignore=shutil.ignore_patterns("version.json"))
    path = given.out / "config.json"
    config = json.loads(path.read_text())
    config["version"] = "2.0"
    config["input"]["raster"]["width"] = 2.0  # it sees otherwise: it embeds otherwise
    path.write_text(json.dumps(config))
    if way == TORN:
        (given.out / "model.onnx").write_bytes(b"torn")
    report: dict[str, Any] = {"verdict": verdict(way != WORSE)}
    if way == LYING:
        report["verdict"]["reason"] = "not-better"
    if way != SILENT:
        (given.run / "report.json").write_text(json.dumps(report))
    return 0


if __name__ == "__main__":
    sys.exit(main())
