"""What a frozen network sees in every picture, and in varied views of it, kept on the disk.

Training the head alone needs nothing else: each picture passes through the network once a view,
and the epochs read numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from tagger.training.augment import Augmentation, augment
from tagger.training.network import TagNetwork, see_mirrored
from tagger.training.packing import Packed

Floats = NDArray[np.float32]
# Pictures that pass through the network at once.
_BATCH = 64


@dataclass(frozen=True)
class Eyes:
    """A network as something that looks at pictures.

    Attributes
    ----------
    see
        Features float32 ``[N, C, h, w]`` of RGB pictures ``[N, S, S, 3]`` in 0-255.
    size
        ``S``, pixels.
    mark
        Names the network and its weights.
    """

    see: Callable[[NDArray[Any]], Floats]
    size: int
    mark: str


@dataclass(frozen=True)
class Seen:
    """Features float16: ``plain [N, C, h, w]`` of all pictures as serving sees them.

    ``views`` are of varied views of the pictures in ``rows`` alone, ``[V]`` times
    ``[len(rows), C, h, w]``.
    """

    plain: NDArray[np.float16]
    views: tuple[NDArray[np.float16], ...]
    rows: NDArray[np.int64]

    def draw(self, places: NDArray[np.int64], rng: np.random.Generator) -> Floats:
        """Features of ``rows[places]``, each in a view of its own: float32 ``[n, C, h, w]``."""
        which = rng.integers(0, len(self.views) + 1, len(places))
        out = np.empty((len(places), *self.plain.shape[1:]), np.float32)
        for number in np.unique(which):
            at = which == number
            chosen = places[at]
            out[at] = self.views[number - 1][chosen] if number else self.plain[self.rows[chosen]]
        return out


def eyes_of_model(path: Path, mark: str, threads: int = 0) -> Eyes:
    """The network of an exported file."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    entry = session.get_inputs()[0]
    if "features" not in {o.name for o in session.get_outputs()}:
        raise ValueError(f"{path}: the model gives no features to learn on")

    def see(pictures: NDArray[Any]) -> Floats:
        x = np.ascontiguousarray(pictures[..., ::-1]).astype(np.float32)
        return session.run(["features"], {entry.name: x})[0]  # type: ignore[no-any-return]

    return Eyes(see, int(entry.shape[1]), mark)


def eyes_of_network(network: TagNetwork, size: int, mirrored: bool) -> Eyes:
    """A torch network; with ``mirrored`` it sees pictures and their mirror images together."""
    digest = hashlib.sha256()
    for value in network.state_dict().values():
        digest.update(value.cpu().numpy().tobytes())

    def see(pictures: NDArray[Any]) -> Floats:
        x = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255
        with torch.inference_mode():
            seen = see_mirrored(network.eval(), x) if mirrored else network.eval()(x)
            return seen.features.numpy()  # type: ignore[no-any-return]

    return Eyes(see, size, digest.hexdigest()[:16])


def look(
    eyes: Eyes,
    packed: Packed,
    rows: NDArray[np.int64],
    folder: Path,
    *,
    pictures: Callable[[NDArray[np.int64]], NDArray[np.uint8]],
    views: int,
    settings: Mapping[str, Any],
    unmirrored: NDArray[np.bool_],
    colours: NDArray[np.bool_],
    seed: int,
    say: Callable[[str], None] = print,
) -> Seen:
    """Pass every picture through the network once, or find what an earlier run left.

    Parameters
    ----------
    rows
        The pictures that are also seen in ``views`` varied views.
    pictures
        Pictures of given rows as serving makes them, uint8 ``[n, S, S, 3]``.
    settings
        Of the augmentation; things are never put side by side, for they would be two.
    unmirrored, colours
        See :func:`tagger.training.loop.train`.
    """
    augmentation = Augmentation(**{**settings, "scene": 0.0})
    key = hashlib.sha256(
        json.dumps([eyes.mark, eyes.size, len(packed.rgb), str(augmentation), seed]).encode()
        + rows.tobytes()
        + packed.labels.tobytes()
    ).hexdigest()[:16]
    target = folder / f"seen-{key}"
    target.mkdir(parents=True, exist_ok=True)
    everything = np.arange(len(packed.rgb))
    plain = _keep(target / "plain.npy", everything, lambda r: eyes.see(pictures(r)), say)
    found = []
    for number in range(views):
        generator = torch.Generator().manual_seed(seed * 1009 + number)

        def varied(part: NDArray[np.int64], generator: torch.Generator = generator) -> Floats:
            batch = augment(
                torch.from_numpy(packed.rgba[part]).permute(0, 3, 1, 2),
                torch.from_numpy(packed.labels[part]).float(),
                size=eyes.size,
                settings=augmentation,
                mirrored=torch.from_numpy(~packed.labels[part][:, unmirrored].any(1)),
                coloured=torch.from_numpy(packed.labels[part][:, colours].any(1)),
                generator=generator,
            )
            return eyes.see((batch.pictures * 255).permute(0, 2, 3, 1).numpy())

        found.append(_keep(target / f"view-{number}.npy", rows, varied, say))
    return Seen(plain, tuple(found), rows)


def _keep(
    path: Path,
    rows: NDArray[np.int64],
    see: Callable[[NDArray[np.int64]], Floats],
    say: Callable[[str], None],
) -> NDArray[np.float16]:
    if not path.exists():
        begun = path.with_name(f"{path.name}.part")
        out: Any = None
        for start in range(0, len(rows), _BATCH):
            features = see(rows[start : start + _BATCH])
            if out is None:
                shape = (len(rows), *features.shape[1:])
                out = np.lib.format.open_memmap(begun, "w+", np.float16, shape)
            out[start : start + _BATCH] = features
        if out is None:
            raise ValueError("there is no picture to learn from")
        out.flush()
        # Renamed last: what was cut off is made anew.
        begun.rename(path)
        say(f"seen: {path.name}, {len(rows)} pictures")
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]
