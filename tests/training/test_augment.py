"""What varying a picture may and may not do to it."""

from __future__ import annotations

import numpy as np
import torch

from tagger.training.augment import Augmentation, augment
from tagger.training.packing import clear_square
from tests.training import made

N, SIDE = 24, 48


def _batch() -> tuple[torch.Tensor, torch.Tensor]:
    pictures = np.stack([clear_square(made.picture(i)[0], SIDE) for i in range(N)])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2), torch.eye(N)


def _vary(settings: Augmentation, seed: int = 1, mirrored: bool = True, size: int = SIDE):
    rgba, labels = _batch()
    return augment(
        rgba,
        labels,
        size=size,
        settings=settings,
        mirrored=torch.full((N,), mirrored),
        coloured=torch.zeros(N, dtype=torch.bool),
        generator=torch.Generator().manual_seed(seed),
    )


def _on_white() -> torch.Tensor:
    """Naive compositing on white."""
    rgba = _batch()[0].float() / 255
    return rgba[:, :3] * rgba[:, 3:] + 1 - rgba[:, 3:]


def test_plain_is_the_picture_on_white_or_its_mirror_image() -> None:
    got, white = _vary(Augmentation.plain()).pictures, _on_white()
    same = (got - white).abs().amax((1, 2, 3)) < 1e-4
    mirror = (got - white.flip(3)).abs().amax((1, 2, 3)) < 1e-4
    assert (same | mirror).all()
    assert mirror.any() and (same & ~mirror).any()


def test_what_must_not_be_mirrored_is_not() -> None:
    got = _vary(Augmentation.plain(), mirrored=False).pictures
    assert (got - _on_white()).abs().max() < 1e-4


def test_full_variation_stays_in_range_and_keeps_the_thing_visible() -> None:
    full = Augmentation(share=1.0, scene=0.0, cutout=0.0)
    for seed in range(4):
        batch = _vary(full, seed, size=32)
        assert batch.pictures.shape == (N, 3, 32, 32)
        assert batch.pictures.min() >= 0 and batch.pictures.max() <= 1
        assert torch.isfinite(batch.pictures).all()
        assert (batch.pictures.flatten(1).std(1) > 0.01).all(), "nothing vanished"
        assert torch.equal(batch.labels, torch.eye(N))


def test_a_scene_has_the_labels_of_both_its_pictures() -> None:
    labels = _vary(Augmentation(share=1.0, scene=1.0)).labels
    assert set(labels.sum(1).tolist()) <= {1.0, 2.0}
    assert labels.sum() > N * 1.5
    assert (labels.diagonal() == 1).all()


def test_the_same_seed_gives_the_same_pictures() -> None:
    one, two = (_vary(Augmentation(share=0.7), 5) for _ in range(2))
    assert torch.equal(one.pictures, two.pictures) and torch.equal(one.labels, two.labels)
    assert not torch.equal(one.pictures, _vary(Augmentation(share=0.7), 6).pictures)


def test_black_ink_is_printed_in_other_colours() -> None:
    rgba = torch.zeros(N, 4, SIDE, SIDE, dtype=torch.uint8)
    rgba[:, 3, 10:38, 10:38] = 255
    zero = {name: 0.0 for name in ("outline", "invert", "grey", "blur", "noise", "cutout", "scene")}
    got = augment(
        rgba,
        torch.eye(N),
        size=SIDE,
        settings=Augmentation(share=1.0, ink=1.0, ground=0.0, **zero),
        mirrored=torch.ones(N, dtype=torch.bool),
        coloured=torch.zeros(N, dtype=torch.bool),
        generator=torch.Generator().manual_seed(0),
    ).pictures
    centres = got[:, :, SIDE // 2, SIDE // 2]
    assert len(torch.unique((centres * 8).round(), dim=0)) > N // 2
