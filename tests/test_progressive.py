"""Progressive JPEGs at an eighth of their size, against libjpeg and against files made by hand."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tagger.errors import ImageError
from tagger.progressive import decode_eighth
from tests import pictures


def _scene(width: int, height: int) -> Image.Image:
    """Smooth colours with noise: every difference of neighbouring blocks occurs."""
    y, x = np.mgrid[:height, :width]
    waves = (x / 300 + y / 700, x / 1900, y / 500 - x / 900)
    rgb = np.dstack([128 + 110 * np.sin(wave * 6) for wave in waves])
    rgb += np.random.default_rng(5).normal(0, 12, rgb.shape)
    return Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8))


def _by_libjpeg(data: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    image.draft(None, (max(1, image.width // 8), max(1, image.height // 8)))
    image.load()
    return np.asarray(image).astype(int)


@pytest.mark.parametrize("quality", [20, 75, 95])
@pytest.mark.parametrize(
    "size", [(8, 8), (16, 8), (17, 9), (160, 120), (161, 119), (33, 200), (1500, 1100)], ids=str
)
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_it_is_what_libjpeg_makes_of_it(mode: str, size: tuple[int, int], quality: int) -> None:
    image = _scene(*size).convert(mode)
    data = pictures.save(image, "JPEG", progressive=True, quality=quality, subsampling=0)
    eighth = decode_eighth(data)
    assert eighth is not None and eighth.mode == mode
    expected = _by_libjpeg(data)
    ours = np.asarray(eighth).astype(int)
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() <= (0 if mode == "L" else 1)


@pytest.mark.parametrize("subsampling", [1, 2], ids=["4:2:2", "4:2:0"])
@pytest.mark.parametrize("size", [(16, 16), (17, 9), (161, 119), (1500, 1100)], ids=str)
def test_halved_colours_are_interpolated(size: tuple[int, int], subsampling: int) -> None:
    data = pictures.save(
        _scene(*size).convert("L").convert("RGB"), "JPEG", progressive=True, subsampling=subsampling
    )
    grey = decode_eighth(data)
    assert grey is not None
    assert np.abs(np.asarray(grey).astype(int) - _by_libjpeg(data)).max() <= 1
    data = pictures.save(_scene(*size), "JPEG", progressive=True, subsampling=subsampling)
    colours = decode_eighth(data)
    assert colours is not None
    assert np.abs(np.asarray(colours).astype(int) - _by_libjpeg(data)).mean() < 5


def test_adobes_mark_for_plain_red_green_and_blue_is_heeded() -> None:
    data = pictures.save(_scene(64, 64), "JPEG", progressive=True, subsampling=0, keep_rgb=True)
    eighth = decode_eighth(data)
    assert eighth is not None
    np.testing.assert_array_equal(np.asarray(eighth), _by_libjpeg(data))


def test_a_colour_that_is_too_small_is_left_to_libjpeg() -> None:
    data = pictures.save(_scene(800, 640), "JPEG", progressive=True, subsampling=2)
    assert decode_eighth(data, 50) is not None
    assert decode_eighth(data, 51) is None
    data = pictures.save(_scene(800, 640), "JPEG", progressive=True, subsampling=0)
    assert decode_eighth(data, 100) is not None
    assert decode_eighth(data, 101) is None


# --- files made by hand, with passes that Pillow does not write ---------------------------------

# One code for each length of a difference: all of four bits, so that they are told by eye.
_CODES = bytes([0, 0, 0, 12, *[0] * 12]) + bytes(range(12))


def _segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def _coded(bits: str) -> bytes:
    bits += "1" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)).replace(
        b"\xff", b"\xff\0"
    )


def _difference(value: int) -> str:
    size = abs(value).bit_length()
    extra = value if value > 0 else value + (1 << size) - 1
    return f"{size:04b}" + (f"{extra:0{size}b}" if size else "")


def _order(factors: list[tuple[int, int]], size: tuple[int, int], parts: list[int]) -> list[Any]:
    """Where the blocks of a scan lie, one after the other: (component, row, column)."""
    across, down = max(h for h, _ in factors), max(v for _, v in factors)
    if len(parts) == 1:
        h, v = factors[parts[0]]
        columns, rows = -(-size[0] * h // (8 * across)), -(-size[1] * v // (8 * down))
        return [(parts[0], y, x) for y in range(rows) for x in range(columns)]
    return [
        (part, my * factors[part][1] + y, mx * factors[part][0] + x)
        for my in range(-(-size[1] // (8 * down)))
        for mx in range(-(-size[0] // (8 * across)))
        for part in parts
        for y in range(factors[part][1])
        for x in range(factors[part][0])
    ]


def _handmade(
    factors: list[tuple[int, int]],
    size: tuple[int, int],
    means: list[np.ndarray],
    scans: list[list[int]],
    low: int,
    frame: int = 0xC2,
    between: bytes = b"",
) -> bytes:
    """Write a file whose passes hold means alone: first without their `low` bits, then these."""
    body = struct.pack(">BHHB", 8, size[1], size[0], len(factors))
    for i, (h, v) in enumerate(factors):
        body += bytes([i + 1, 16 * h + v, 0])
    data = b"\xff\xd8" + _segment(0xDB, b"\0" + bytes([8] * 64)) + _segment(frame, body)
    data += _segment(0xC4, b"\0" + _CODES) + between
    for bit in range(low, -1, -1):
        for parts in scans:
            head = bytes([len(parts)]) + b"".join(bytes([part + 1, 0]) for part in parts)
            data += _segment(0xDA, head + bytes([0, 0, 16 * (bit + 1 if bit < low else 0) + bit]))
            bits, before = "", dict.fromkeys(parts, 0)
            for part, y, x in _order(factors, size, parts):
                value = int(means[part][y, x])
                if bit == low:
                    bits += _difference((value >> low) - before[part])
                    before[part] = value >> low
                else:
                    bits += str(value >> bit & 1)
            data += _coded(bits)
    return data + b"\xff\xd9"


_FACTORS = {
    "grey": [(1, 1)],
    "4:4:4": [(1, 1)] * 3,
    "4:2:0": [(2, 2), (1, 1), (1, 1)],
    "4:4:0": [(1, 2), (1, 1), (1, 1)],
    "4:1:1": [(4, 1), (1, 1), (1, 1)],
    "odd": [(2, 2), (2, 1), (1, 2)],
}


@pytest.mark.parametrize("low", [0, 1, 3])
@pytest.mark.parametrize("together", [True, False], ids=["one-scan", "a-scan-a-colour"])
@pytest.mark.parametrize("name", _FACTORS)
def test_every_order_of_passes(name: str, together: bool, low: int) -> None:
    factors, size = _FACTORS[name], (203, 90)
    rng = np.random.default_rng(6)
    # Of constant colours interpolation makes nothing else, so every pixel can be worked out.
    means = [rng.integers(-128, 128, (40, 60)), np.full((40, 60), 20), np.full((40, 60), -31)]
    every = list(range(len(factors)))
    scans = [every] if together else [[part] for part in every]
    data = _handmade(factors, size, means, scans, low)
    eighth = decode_eighth(data)
    assert eighth is not None
    luma = Image.fromarray((means[0][:12, :26] + 128).astype(np.uint8))
    if name == "grey":
        expected = luma
    else:
        flat = [Image.new("L", luma.size, 128 + value) for value in (20, -31)]
        expected = Image.merge("YCbCr", [luma, *flat]).convert("RGB")
    np.testing.assert_array_equal(np.asarray(eighth), np.asarray(expected))


def _grey(**more: Any) -> bytes:
    means = [np.random.default_rng(7).integers(-128, 128, (8, 8))]
    return _handmade([(1, 1)], (64, 64), means, [[0]], 1, **more)


@pytest.mark.parametrize(
    "data",
    [
        _grey(frame=0xC0),
        _grey(frame=0xCA),
        _grey(between=_segment(0xDD, b"\0\4")),
        _grey()[:-2],
        pictures.save(Image.new("RGB", (64, 64)), "JPEG"),
        pictures.save(Image.new("CMYK", (64, 64)), "JPEG", progressive=True),
    ],
    ids=["sequential", "arithmetic", "restart-marks", "without-an-end", "baseline", "four-colours"],
)
def test_other_kinds_are_left_to_libjpeg(data: bytes) -> None:
    assert decode_eighth(data) is None


def test_a_pass_that_breaks_off_is_not_filled_up() -> None:
    data = _grey()
    scan = data.index(b"\xff\xda") + 10
    for cut in (scan + 3, scan + 20):
        with pytest.raises(ImageError) as caught:
            decode_eighth(data[:cut] + b"\xff\xd9")
        assert caught.value.code == "image-truncated"


def test_a_code_that_the_file_does_not_define_is_damage() -> None:
    data = _grey()
    scan = data.index(b"\xff\xda") + 10
    with pytest.raises(ImageError) as caught:
        decode_eighth(data[:scan] + b"\xf0" * 100 + b"\xff\xd9")
    assert caught.value.code == "image-damaged"


def test_whatever_is_sent_ends_in_pixels_or_in_a_message() -> None:
    seeds = [
        pictures.save(_scene(64, 48), "JPEG", progressive=True, subsampling=0),
        pictures.save(_scene(64, 48), "JPEG", progressive=True, subsampling=2),
        _grey(),
    ]
    ends = set()
    for number, seed in enumerate(seeds):
        for data in pictures.mutations(seed, 500, number):
            try:
                ends.add(decode_eighth(data + b"\xff\xd9") is not None)
            except ImageError as error:
                ends.add(error.code)
    assert ends == {True, False, "image-damaged", "image-truncated"}
