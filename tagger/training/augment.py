"""Pictures varied in whole batches, on whatever device they lie.

An illustration with an alpha channel is a thing without a ground, so it can be put anywhere: every
picture is moved, recoloured and laid on a random ground each time it is seen, sometimes beside
another one, sometimes as its own outline. Strangers' pictures come in looks that no data set
holds; what is varied here is what the network learns to see past.

Everything works on premultiplied colour, where resampling and compositing are plain sums
(Porter and Duff, "Compositing Digital Images", SIGGRAPH 1984).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

# Luma and the two chroma axes of YIQ: hue turns in the plane of the last two.
_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


@dataclass(frozen=True)
class Augmentation:
    """How much is varied. Probabilities are per picture; zero switches a part off.

    ``share`` of the pictures are varied in full, the others only mirrored and moved a little: all
    in full, and a network with few epochs to live learns next to nothing in the first of them.
    ``plain()`` is what the published recipe does: the picture on white, mirrored half the time.
    """

    share: float = 0.4
    flip: float = 0.5
    scale: tuple[float, float] = (0.65, 1.1)
    stretch: float = 0.15
    rotate: float = 12.0
    turn: float = 0.05
    shear: float = 0.15
    hue: float = 0.12
    wild_hue: float = 0.12
    saturation: float = 0.5
    contrast: float = 0.3
    grey: float = 0.08
    invert: float = 0.04
    outline: float = 0.07
    flat: float = 0.03
    ink: float = 0.6
    ground: float = 0.6
    scene: float = 0.2
    cutout: float = 0.15
    blur: float = 0.1
    noise: float = 0.15

    @classmethod
    def plain(cls) -> Augmentation:
        """Mirror only."""
        zero = {f.name: 0.0 for f in fields(cls) if f.name not in ("flip", "scale")}
        return cls(flip=0.5, scale=(1.0, 1.0), **zero)


@dataclass
class Batch:
    """Pictures float32 ``[N, 3, S, S]`` in 0-1 (RGB) and labels float32 ``[N, T]``."""

    pictures: Tensor
    labels: Tensor


def augment(
    rgba: Tensor,
    labels: Tensor,
    *,
    size: int,
    settings: Augmentation,
    mirrored: Tensor,
    coloured: Tensor,
    generator: torch.Generator,
) -> Batch:
    """Vary a batch.

    Parameters
    ----------
    rgba
        uint8 ``[N, 4, P, P]``, straight alpha.
    labels
        float ``[N, T]``, 0 or 1. A scene of two pictures gets the labels of both.
    size
        Side of what comes out, pixels.
    mirrored
        bool ``[N]``: whether the picture may be mirrored (not what points left, not writing).
    coloured
        bool ``[N]``: whether a label names a colour, so that the hue has to stay.
    """
    count, device = len(rgba), rgba.device

    def chance(p: float, n: int = count) -> Tensor:
        return torch.rand(n, generator=generator).to(device) < p

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator).to(device)

    pre = rgba.float().div_(255)
    pre[:, :3] *= pre[:, 3:]
    strong = chance(settings.share)
    scene = strong & chance(settings.scene)
    layer = F.grid_sample(
        pre,
        F.affine_grid(
            _affine(settings, mirrored, strong, scene, uniform, chance),
            [count, 4, size, size],
            False,
        ),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    colour, alpha = layer[:, :3], layer[:, 3:]
    colour = _recolour(colour, alpha, settings, strong, coloured, uniform, chance)
    ground = _ground(strong, size, settings, uniform, chance)
    if settings.outline:
        which = (strong & chance(settings.outline)).nonzero().flatten()
        if len(which):
            colour[which], alpha[which] = _outline(colour[which], alpha[which])
    _keep_visible(colour, alpha, ground)
    out = colour + ground * (1 - alpha)
    labels = labels.clone()
    if scene.any():
        first = scene.nonzero().flatten()
        second = first[torch.randperm(len(first), generator=generator)]
        # The partner is the same layer shrunk to the free corner, so it costs one small resample.
        corner = F.interpolate(torch.cat([colour, alpha], 1)[second], scale_factor=0.6, mode="area")
        side = corner.shape[-1]
        right, below = (int(v) for v in torch.randint(0, 2, (2,), generator=generator))
        x, y = right * (size - side), below * (size - side)
        patch = out[first, :, y : y + side, x : x + side]
        out[first, :, y : y + side, x : x + side] = corner[:, :3] + patch * (1 - corner[:, 3:])
        labels[first] = torch.maximum(labels[first], labels[second])
    _spoil(out, settings, strong, uniform, chance)
    return Batch(out.clamp_(0, 1), labels)


def _affine(settings, mirrored, strong, scene, uniform, chance) -> Tensor:  # type: ignore[no-untyped-def]
    """Output -> input matrices ``[N, 2, 3]``; scenes leave room beside the picture."""
    count = len(mirrored)
    low, high = (math.log(s) for s in settings.scale)
    much = torch.where(strong, 1.0, 0.3)
    scale = (uniform(low, high, count) * much).exp() * torch.where(scene, 0.85, 1.0)
    stretch = (uniform(-settings.stretch, settings.stretch, count) * much).exp()
    angle = torch.deg2rad(uniform(-settings.rotate, settings.rotate, count) * much)
    turned = strong & chance(settings.turn)
    angle = torch.where(turned, uniform(-math.pi, math.pi, count), angle)
    shear = uniform(-settings.shear, settings.shear, count) * much
    flip = torch.where(chance(settings.flip) & mirrored, -1.0, 1.0)
    cos, sin = angle.cos(), angle.sin()
    sx, sy = 1 / (scale * stretch), stretch / scale
    # A picture smaller than the canvas may lie anywhere on it; a larger one may lose its edge.
    room = (1 - scale).abs() + 0.05 * (settings.scale[0] < 1)
    tx, ty = (uniform(-1, 1, count) * room / scale for _ in range(2))
    top = torch.stack([flip * cos * sx, (shear * cos - sin) * sx, tx], 1)
    bottom = torch.stack([flip * sin * sy, (shear * sin + cos) * sy, ty], 1)
    return torch.stack([top, bottom], 1)


def _recolour(colour, alpha, settings, strong, coloured, uniform, chance):  # type: ignore[no-untyped-def]
    """Turn the hue, scale saturation and contrast, grey, invert, flatten, ink."""
    count, device = len(colour), colour.device
    yiq = _YIQ.to(device)
    spread = torch.where(chance(settings.wild_hue), math.pi, settings.hue * math.pi)
    angle = uniform(-1, 1, count) * spread * ~coloured
    grey = chance(settings.grey) & ~coloured
    least = torch.where(coloured, max(0.7, 1 - settings.saturation), 1 - settings.saturation)
    chroma = uniform(0, 1, count) * (1 + settings.saturation - least) + least
    chroma = torch.where(grey, torch.zeros_like(chroma), chroma)
    gain = uniform(1 - settings.contrast, 1 + settings.contrast, count)
    turn = torch.zeros(count, 3, 3, device=device)
    turn[:, 0, 0] = gain
    turn[:, 1, 1] = turn[:, 2, 2] = gain * chroma * angle.cos()
    turn[:, 1, 2] = -gain * chroma * angle.sin()
    turn[:, 2, 1] = -turn[:, 1, 2]
    matrix = torch.linalg.inv(yiq) @ turn @ yiq
    shift = uniform(-0.5, 0.5, count) * settings.contrast + 0.5 * (1 - gain)
    flip = chance(settings.invert) & ~coloured
    matrix = torch.where(flip[:, None, None], -matrix, matrix)
    shift = torch.where(flip, 1 - shift, shift)
    # Black ink alone says nothing of colour, so line icons are printed in any.
    area = alpha.sum((1, 2, 3)).clamp_min(1)
    mono = (colour.amax(1, keepdim=True) * alpha).sum((1, 2, 3)) / area < 0.05
    flat = (mono & chance(settings.ink)) | (chance(settings.flat) & ~coloured)
    matrix = torch.where(flat[:, None, None], torch.zeros_like(matrix), matrix)
    offset = torch.where(flat[:, None], uniform(0, 1, count, 3), shift[:, None].expand(-1, 3))
    matrix = torch.where(strong[:, None, None], matrix, torch.eye(3, device=device))
    offset = torch.where(strong[:, None], offset, torch.zeros_like(offset))
    mixed = torch.einsum("nij,njhw->nihw", matrix, colour)
    mixed += offset[:, :, None, None] * alpha
    return torch.minimum(mixed.clamp_(min=0), alpha)


def _ground(strong, size, settings, uniform, chance):  # type: ignore[no-untyped-def]
    """White, one colour, two that blend, or a cloudy texture: float ``[N, 3, S, S]``."""
    device = strong.device
    ground = torch.ones(len(strong), 3, size, size, device=device)
    which = (strong & chance(settings.ground)).nonzero().flatten()
    if not len(which):
        return ground
    n = len(which)
    base, other = uniform(0, 1, n, 3, 1, 1), uniform(0, 1, n, 3, 1, 1)
    kind = uniform(0, 3, n).long()
    along = torch.linspace(-1, 1, size, device=device)
    turn = uniform(0, 2 * math.pi, n, 1, 1)
    ramp = (turn.cos() * along[None, None, :] + turn.sin() * along[None, :, None]) * 0.35 + 0.5
    blend = base + (other - base) * ramp[:, None].clamp(0, 1)
    cells = int(uniform(3, 13, 1))
    cloud = F.interpolate(uniform(0, 1, n, 3, cells, cells), size=size, mode="bilinear")
    cloud = base + (cloud - 0.5) * uniform(0.2, 1.0, n, 1, 1, 1)
    kind = kind[:, None, None, None]
    chosen = torch.where(kind == 0, base.expand_as(blend), torch.where(kind == 1, blend, cloud))
    ground[which] = chosen
    return ground


def _outline(colour: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """Black lines where the picture on white changes: what a line drawing keeps of it."""
    luma = (colour + 1 - alpha).mean(1, keepdim=True)
    dx = F.pad(luma[..., :, 2:] - luma[..., :, :-2], (1, 1, 0, 0))
    dy = F.pad(luma[..., 2:, :] - luma[..., :-2, :], (0, 0, 1, 1))
    line = ((dx.square() + dy.square()).sqrt() * 2.5).clamp(0, 1)
    return torch.zeros_like(colour), line


def _keep_visible(colour: Tensor, alpha: Tensor, ground: Tensor) -> None:
    """Put what would vanish into its ground on white or black instead, in place."""
    area = alpha.sum((2, 3)).clamp_min(1)
    mean = colour.sum((2, 3)) / area
    over = (ground * alpha).sum((2, 3)) / area
    lost = (mean - over).abs().mean(1) < 0.15
    if lost.any():
        light = mean.mean(1) < 0.5
        ground[lost] = light[lost].float()[:, None, None, None]


def _spoil(out: Tensor, settings, strong, uniform, chance) -> None:  # type: ignore[no-untyped-def]
    """Blur, noise, a hole: what scans and small copies do, in place."""
    if settings.blur:
        which = (strong & chance(settings.blur)).nonzero().flatten()
        out[which] = F.avg_pool2d(out[which], 3, 1, 1, count_include_pad=False)
    if settings.noise:
        which = (strong & chance(settings.noise)).nonzero().flatten()
        grain = uniform(-1, 1, len(which), *out.shape[1:])
        out[which] += grain * uniform(0, 0.12, len(which), 1, 1, 1)
    if settings.cutout:
        size = out.shape[-1]
        for at in (strong & chance(settings.cutout)).nonzero().flatten().tolist():
            side = int(uniform(0.15, 0.35, 1) * size)
            x, y = (int(v) for v in uniform(0, size - side, 2))
            out[at, :, y : y + side, x : x + side] = uniform(0, 1, 3, 1, 1)
