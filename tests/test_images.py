"""Reading pictures: every case by its name, then memory, limits, damage and the model's input."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tagger.errors import ImageError, LimitError, TaggerError
from tagger.images import ImageLimits, Picture, letterbox, read, to_model_input
from tests import pictures
from tests.pictures import BAD, GOOD

MIB = 2**20


# --- every case by name -------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOOD)
def test_read(name: str) -> None:
    case = GOOD[name]()
    picture = read(case.data)
    assert picture.rgb.dtype == np.uint8
    assert picture.rgb.shape == case.rgb.shape
    difference = np.abs(picture.rgb.astype(int) - case.rgb.astype(int))
    assert difference.max() <= case.tolerance
    height, width = case.rgb.shape[:2]
    assert (picture.width, picture.height) == (width, height)
    assert picture.format == case.format
    assert picture.had_alpha == case.had_alpha
    assert picture.frames == case.frames
    assert picture.notes == case.notes


@pytest.mark.parametrize("name", BAD)
def test_refuse(name: str) -> None:
    case = BAD[name]()
    with pytest.raises((ImageError, LimitError)) as caught:
        read(case.data, limits=ImageLimits(**case.limits))
    error = caught.value
    assert error.code == case.code
    assert 400 <= error.status < 500
    for language in ("en", "ja"):
        assert "{" not in error.message(language)
    assert error.message("en") != error.message("ja")


# --- where pictures come from -------------------------------------------------------------------


def _png() -> bytes:
    return GOOD["png"]().data


@pytest.mark.parametrize(
    "wrap",
    [bytes, bytearray, memoryview, io.BytesIO, lambda data: Image.open(io.BytesIO(data))],
    ids=["bytes", "bytearray", "memoryview", "binary-file", "PIL-image"],
)
def test_source(wrap: Callable[[bytes], Any]) -> None:
    picture = read(wrap(_png()))
    np.testing.assert_array_equal(picture.rgb, pictures.scene())
    assert picture.format == "PNG"


@pytest.mark.parametrize("name", ["picture.png", "renamed.jpg", "renamed.txt", "絵 1.png"])
@pytest.mark.parametrize("kind", [Path, str])
def test_source_path_is_judged_by_content(
    tmp_path: Path, name: str, kind: Callable[[Path], Any]
) -> None:
    (tmp_path / name).write_bytes(_png())
    picture = read(kind(tmp_path / name))
    np.testing.assert_array_equal(picture.rgb, pictures.scene())
    assert picture.format == "PNG"


def test_source_path_of_a_text_called_png(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_text("not a picture")
    with pytest.raises(ImageError) as caught:
        read(path)
    assert caught.value.code == "image-foreign"


def test_source_path_missing(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        read(tmp_path / "secret-folder" / "missing.png")
    assert caught.value.code == "image-unreadable"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("path", ["nul\0inside.png", "x" * 5000])
def test_source_path_impossible(path: str) -> None:
    with pytest.raises(ImageError, match="could not be opened"):
        read(path)


def test_source_path_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError) as caught:
        read(tmp_path)
    assert caught.value.code == "image-not-a-file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_source_path_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ImageError) as caught:
        read(tmp_path / "pipe.png")
    assert caught.value.code == "image-not-a-file"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs device files")
def test_source_path_device_is_refused_without_reading() -> None:
    with pytest.raises(ImageError) as caught:
        read("/dev/zero")
    assert caught.value.code == "image-not-a-file"


def test_source_file_is_read_no_further_than_the_limit() -> None:
    class Endless(io.RawIOBase):
        taken = 0

        def read(self, size: int = -1) -> bytes:
            assert size >= 0
            self.taken += size
            return bytes(size)

    endless = Endless()
    with pytest.raises(LimitError):
        read(endless, limits=ImageLimits(max_bytes=1000))  # type: ignore[arg-type]
    assert endless.taken <= 1001


def test_source_file_that_fails() -> None:
    file = io.BytesIO(_png())
    file.close()
    with pytest.raises(ImageError) as caught:
        read(file)
    assert caught.value.code == "image-unreadable"


@pytest.mark.parametrize("source", [None, 3, io.StringIO("text")])
def test_source_of_a_wrong_type_is_the_callers_mistake(source: Any) -> None:
    with pytest.raises(TypeError):
        read(source)


def test_path_larger_than_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(_png() + bytes(1000))
    with pytest.raises(LimitError, match="MiB"):
        read(path, limits=ImageLimits(max_bytes=500))


# --- PIL images ---------------------------------------------------------------------------------


def _pil_modes() -> dict[str, tuple[Image.Image, np.ndarray, int]]:
    rgb, alpha = pictures.scene(), pictures.opacity()
    grey = pictures.grey_of(rgb)
    full = Image.fromarray(rgb)
    rgba = Image.fromarray(np.dstack([rgb, alpha]))
    la = Image.fromarray(np.dstack([grey, alpha]))
    palette = Image.frombytes("P", (24, 16), (grey // 32).tobytes())
    palette.putpalette([v for i in range(8) for v in (20 * i, 30 * i, 128, 255 - 36 * i)], "RGBA")
    colours = np.array([[20 * i, 30 * i, 128] for i in range(8)], np.uint8)
    opacities = np.array([255 - 36 * i for i in range(8)], np.uint8)
    on_white = pictures.on_white
    sixteen = (grey.astype(np.uint16) * 257).astype(np.uint16)
    return {
        "1": (Image.fromarray(grey > 127), pictures.as_rgb(np.where(grey > 127, 255, 0)), 0),
        "L": (Image.fromarray(grey), pictures.as_rgb(grey), 0),
        "LA": (la, on_white(pictures.as_rgb(grey), alpha), 1),
        "La": (la.convert("La"), on_white(pictures.as_rgb(grey), alpha), 3),
        "P-with-RGBA-palette": (palette, on_white(colours[grey // 32], opacities[grey // 32]), 1),
        "RGB": (full, rgb, 0),
        "RGBX": (full.convert("RGBX"), rgb, 0),
        "RGBA": (rgba, on_white(rgb, alpha), 1),
        "RGBa": (rgba.convert("RGBa"), on_white(rgb, alpha), 3),
        "CMYK": (full.convert("CMYK"), rgb, 1),
        "YCbCr": (full.convert("YCbCr"), rgb, 3),
        "HSV": (full.convert("HSV"), rgb, 12),
        "I-of-8-bits": (Image.fromarray(grey.astype(np.int32)), pictures.as_rgb(grey), 0),
        "I-of-16-bits": (Image.fromarray(sixteen.astype(np.int32)), pictures.as_rgb(grey), 0),
        "I;16": (Image.fromarray(sixteen), pictures.as_rgb(grey), 0),
        "F": (Image.fromarray(grey.astype(np.float32)), pictures.as_rgb(grey), 0),
    }


@pytest.mark.parametrize("mode", _pil_modes())
def test_pil_image(mode: str) -> None:
    image, expected, tolerance = _pil_modes()[mode]
    before = image.copy()
    picture = read(image)
    assert np.abs(picture.rgb.astype(int) - expected.astype(int)).max() <= tolerance
    assert picture.format == ""
    assert image == before
    assert image.info == before.info


def test_pil_image_is_not_decoded_smaller_behind_the_callers_back() -> None:
    image = Image.open(io.BytesIO(pictures.save(Image.new("RGB", (400, 300)), "JPEG")))
    read(image, target=16)
    assert image.size == (400, 300)


def test_pil_image_turned_by_its_exif() -> None:
    picture = read(Image.open(io.BytesIO(GOOD["orientation-6-jpeg"]().data)))
    expected = pictures.shown(pictures.smooth(), 6)
    assert np.abs(picture.rgb.astype(int) - expected.astype(int)).max() <= 3
    assert picture.notes == ("rotated",)


def test_pil_image_whose_file_is_closed() -> None:
    file = io.BytesIO(GOOD["animated-gif"]().data)
    image = Image.open(file)
    image.load()
    file.close()
    assert read(image).rgb.shape == (32, 48, 3)


def test_pil_image_too_large() -> None:
    with pytest.raises(LimitError):
        read(Image.new("L", (200, 200)), limits=ImageLimits(max_pixels=30_000))


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (OSError("broken"), "image-damaged"),
        (OSError("image file is truncated (3 bytes not processed)"), "image-truncated"),
        (EOFError(), "image-truncated"),
        (SyntaxError("not a PNG file"), "image-damaged"),
        (ValueError("/secret/path"), "image-damaged"),
        (OverflowError(), "image-damaged"),
        (IndexError(), "image-damaged"),
        (KeyError("tag"), "image-damaged"),
        (RuntimeError("security limit"), "image-damaged"),
        (RecursionError(), "image-damaged"),
        (ZeroDivisionError(), "image-damaged"),
        (MemoryError(), "out-of-memory"),
        (Image.DecompressionBombError("huge"), "image-bomb"),
        (Image.DecompressionBombWarning("large"), "image-bomb"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_whatever_a_decoder_raises_becomes_an_error_for_people(
    raised: Exception, code: str
) -> None:
    class Hostile(Image.Image):
        format = "PNG"

        def load(self) -> Any:
            raise raised

    image = Hostile()
    image._size, image._mode = (3, 2), "RGB"  # type: ignore[attr-defined]
    with pytest.raises(TaggerError) as caught:
        read(image)
    assert caught.value.code == code
    assert caught.value.__cause__ is raised
    assert str(raised) not in str(caught.value) or not str(raised)
    assert "our side" not in str(caught.value)


def test_heic_without_its_plugin_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    data = GOOD["heic"]().data
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match="as PNG, JPEG or WebP"):
        read(data)


# --- cut anywhere -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", pictures.seeds())
def test_cut_anywhere_is_refused_or_whole(name: str) -> None:
    """No part of a picture is ever filled with grey: all pixels are there or there is an error."""
    data = pictures.seeds()[name]
    whole = read(data).rgb
    for end in sorted({*range(0, len(data), max(1, len(data) // 60)), len(data) - 1}):
        try:
            rgb = read(data[:end]).rgb
        except TaggerError:
            continue
        np.testing.assert_array_equal(rgb, whole, f"cut at {end} of {len(data)}")


# --- damaged anyhow -----------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", pictures.seeds())
def test_mutations_give_a_picture_or_an_error_for_people(name: str) -> None:
    limits = ImageLimits(max_pixels=1_000_000, max_memory=64 * MIB, max_frames=50)
    data = pictures.seeds()[name]
    outcomes = {"picture": 0, "error": 0}
    for i, damaged in enumerate(pictures.mutations(data, 300, seed=20)):
        try:
            picture = read(damaged, limits=limits, target=8 if i % 2 else None)
        except TaggerError as error:
            outcomes["error"] += 1
            assert 400 <= error.status < 500, repr(error.__cause__)
            assert "{" not in error.message("en") + error.message("ja")
        else:
            outcomes["picture"] += 1
            _check_consistent(picture)
    assert outcomes["error"] > 0


def _check_consistent(picture: Picture) -> None:
    height, width = picture.rgb.shape[:2]
    assert picture.rgb.dtype == np.uint8
    assert picture.rgb.shape == (height, width, 3)
    assert 0 < width <= picture.width + 2
    assert 0 < height <= picture.height + 2
    assert picture.frames >= 1


# --- reducing -----------------------------------------------------------------------------------


@cache
def _painting(width: int, height: int) -> np.ndarray:
    """Make soft shapes of all sizes, as in a painting or a photograph."""
    rng = np.random.default_rng(1)
    total = np.zeros((height, width, 3))
    for octave in range(8):
        cells = 2 ** (octave + 1)
        side = max(width, height)
        shape = (max(2, cells * height // side), max(2, cells * width // side), 3)
        layer = Image.fromarray(rng.integers(0, 256, shape, np.uint8))
        total += np.asarray(layer.resize((width, height), Image.Resampling.BICUBIC)) / 1.8**octave
    total -= total.min()
    return (total / total.max() * 255).astype(np.uint8)


@cache
def _line_art(width: int, height: int) -> np.ndarray:
    """Make hard-edged lines and discs on white."""
    rng = np.random.default_rng(2)
    image = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(image)
    for i in range(60):
        points = [(int(x), int(y)) for x, y in rng.integers(0, (width, height), (4, 2))]
        colour = tuple(int(v) for v in rng.integers(0, 256, 3))
        draw.line(points, fill=colour, width=max(3, width // 300))
        if i % 3 == 0:
            (x, y), radius = points[0], width // 12
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), colour, "black", 3)
    return np.asarray(image)


@cache
def _noisy(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("format", ["PNG", "JPEG"])
@pytest.mark.parametrize(
    ("size", "target"),
    [((1501, 1003), 224), ((897, 2001), 320), ((2000, 1500), 224), ((1411, 1411), 320)],
    ids=str,
)
@pytest.mark.parametrize(
    ("make", "mean"),
    [(_painting, 0.5), (_line_art, 1.5), (_noisy, 3.0)],
    ids=["painting", "line-art", "noise"],
)
def test_reduced_reading_deviates_little_from_full_reading(
    make: Callable[..., np.ndarray], mean: float, size: tuple[int, int], format: str, target: int
) -> None:
    options: dict[str, Any] = {"quality": 92} if format == "JPEG" else {"compress_level": 1}
    data = pictures.save(Image.fromarray(make(*size)), format, **options)
    full = letterbox(read(data).rgb, target).astype(int)
    reduced = letterbox(read(data, target=target).rgb, target).astype(int)
    deviation = np.abs(full - reduced)
    assert deviation.mean() <= mean
    assert np.percentile(deviation, 99) <= 15


@pytest.mark.parametrize("subsampling", [0, 2], ids=["4:4:4", "4:2:0"])
@pytest.mark.parametrize(("kind", "mean"), [("photograph", 0.5), ("line-art", 1.5)])
def test_so_does_a_large_progressive_jpeg(kind: str, mean: float, subsampling: int) -> None:
    """`tagger.progressive` reads an eighth of each side and, if halved, a sixteenth of colours."""
    if kind == "photograph":
        image = _photograph(4800, 3600)
    else:
        image = Image.fromarray(_line_art(1600, 1200)).resize(
            (4800, 3600), Image.Resampling.NEAREST
        )
    options = {"exif": pictures.exif(6)}
    data = pictures.save(
        image, "JPEG", quality=90, progressive=True, subsampling=subsampling, **options
    )
    picture = read(data, target=150)
    assert (picture.width, picture.height) == (3600, 4800)
    assert picture.notes == ("rotated", "reduced")
    full = letterbox(read(data).rgb, 150).astype(int)
    deviation = np.abs(full - letterbox(picture.rgb, 150).astype(int))
    assert deviation.mean() <= (mean if subsampling == 0 else 1.5 * mean)
    assert np.percentile(deviation, 99) <= 15


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    "size", [(100, 80), (255, 17), (256, 256), (257, 300), (511, 512), (1000, 37), (37, 1000)]
)
def test_reduced_reading_leaves_twice_the_target(size: tuple[int, int], format: str) -> None:
    data = pictures.save(Image.new("RGB", size, "red"), format)
    picture = read(data, target=64)
    assert (picture.width, picture.height) == size
    longer = max(picture.rgb.shape)
    if max(size) < 256:
        assert picture.rgb.shape == (size[1], size[0], 3)
        assert "reduced" not in picture.notes
    else:
        assert 128 <= longer < 256
        assert "reduced" in picture.notes


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_reduced_reading_shows_no_hidden_colour_at_edges(mode: str) -> None:
    """A white disc on transparent black: an edge with any grey in it would be a fringe."""
    size = 400
    y, x = np.mgrid[:size, :size]
    inside = (x - 200) ** 2 + (y - 200) ** 2 < 150**2
    if mode == "P":
        image = Image.frombytes("P", (size, size), inside.astype(np.uint8).tobytes())
        image.putpalette([0, 0, 0, 255, 255, 255])
        data = pictures.save(image, "PNG", transparency=0)
    else:
        image = Image.fromarray(np.where(inside, 255, 0).astype(np.uint8)).convert(mode[:-1])
        image.putalpha(Image.fromarray(np.where(inside, 255, 0).astype(np.uint8)))
        data = pictures.save(image, "PNG")
    picture = read(data, target=32)
    assert "reduced" in picture.notes
    assert picture.had_alpha
    assert picture.rgb.min() == 255


def test_reduced_reading_is_the_mean_of_blocks_on_white() -> None:
    rgb, alpha = pictures.scene(64, 48), pictures.opacity(64, 48)
    data = pictures.save(Image.fromarray(np.dstack([rgb, alpha])), "PNG")
    flat = pictures.on_white(rgb, alpha)
    expected = np.zeros((12, 16, 3))
    for y in range(12):
        for x in range(16):
            for c in range(3):
                block = [int(v) for v in flat[4 * y : 4 * y + 4, 4 * x : 4 * x + 4, c].flat]
                expected[y, x, c] = sum(block) / 16
    picture = read(data, target=8)
    assert picture.rgb.shape == (12, 16, 3)
    assert np.abs(picture.rgb - expected).max() <= 1


@pytest.mark.parametrize("name", [name for name in GOOD if name.startswith("orientation-")])
def test_reduced_reading_turns_as_full_reading_does(name: str) -> None:
    case = GOOD[name]()
    full = letterbox(case.rgb, 4).astype(int)
    reduced = letterbox(read(case.data, target=4).rgb, 4).astype(int)
    assert np.abs(full - reduced).mean() < 12


@pytest.mark.parametrize("name", [name for name in GOOD if name.startswith("shape-")])
def test_any_shape_becomes_model_input(name: str) -> None:
    picture = read(GOOD[name]().data, target=32)
    assert max(picture.rgb.shape) < 4 * 32 or "reduced" not in picture.notes
    batch = to_model_input([picture], 32)
    assert batch.shape == (1, 32, 32, 3)
    assert np.isfinite(batch).all()


def test_target_must_be_positive() -> None:
    with pytest.raises(ValueError, match="target"):
        read(_png(), target=0)


# --- model input --------------------------------------------------------------------------------


def _naive_letterbox(rgb: np.ndarray, size: int) -> np.ndarray:
    height, width = rgb.shape[:2]
    side = max(height, width)
    square = np.full((side, side, 3), 255, np.uint8)
    for y in range(height):
        for x in range(width):
            square[(side - height) // 2 + y, (side - width) // 2 + x] = rgb[y, x]
    if side == size:
        return square
    return np.asarray(Image.fromarray(square).resize((size, size), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(
    "size",
    [(1, 1), (24, 16), (16, 24), (32, 32), (33, 32), (101, 100), (3, 200), (200, 3)],
    ids=str,
)
@pytest.mark.parametrize("side", [1, 16, 32, 47])
def test_letterbox_equals_the_rule_to_the_bit(size: tuple[int, int], side: int) -> None:
    rgb = _noisy(*size)
    np.testing.assert_array_equal(letterbox(rgb, side), _naive_letterbox(rgb, side))


def test_letterbox_of_a_tall_picture_in_several_strips() -> None:
    rgb = _noisy(900, 1300)
    square = Image.new("RGB", (1300, 1300), "white")
    square.paste(Image.fromarray(rgb), (200, 0))
    expected = np.asarray(square.resize((64, 64), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(letterbox(rgb, 64), expected)


@pytest.mark.parametrize(
    "rgb",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=["grey", "four-channels", "floats", "empty"],
)
def test_letterbox_refuses_other_arrays(rgb: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8"):
        letterbox(rgb, 8)


def test_model_input_is_blue_green_red_from_0_to_255() -> None:
    rgb = pictures.scene()
    picture = read(_png())
    batch = to_model_input([rgb, picture], 16)
    assert batch.dtype == np.float32
    assert batch.shape == (2, 16, 16, 3)
    expected = _naive_letterbox(rgb, 16)
    for row in batch:
        for y in range(16):
            for x in range(16):
                assert [float(v) for v in row[y, x]] == [float(v) for v in expected[y, x][::-1]]


def test_model_input_of_no_pictures() -> None:
    assert to_model_input([], 16).shape == (0, 16, 16, 3)


# --- memory -------------------------------------------------------------------------------------

# The peak of a process is read from /proc, where there is one: `resource.getrusage` also counts
# what the process was before it became this program, that is, the whole of the test runner.
_PROBE = """
import json, resource, sys
from tagger.errors import TaggerError
from tagger.images import ImageLimits, read

def status(field):
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

path, warm, target, limits = sys.argv[1:]
read(warm)  # loads the libraries
limits = ImageLimits(**json.loads(limits))
before = status("VmRSS")
try:
    read(path, target=int(target), limits=limits)
    code = "read"
except TaggerError as error:
    code = error.code
print(code, max(0, status("VmHWM") - before))
"""


def _added_memory(
    data: bytes, target: int, folder: Path, warm: bytes, **limits: int
) -> tuple[str, int]:
    """Read a picture in a fresh process; return what came of it and the memory it took."""
    (folder / "picture").write_bytes(data)
    (folder / "warm").write_bytes(warm)
    paths = [str(folder / "picture"), str(folder / "warm")]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(
        [sys.executable, "-c", _PROBE, *paths, str(target), json.dumps(limits)],
        check=True,
        capture_output=True,
        text=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    code, added = done.stdout.split()
    return code, int(added)


def _photograph(width: int, height: int) -> Image.Image:
    """Make a picture with as much detail as a camera's: about 2.5 bits a pixel as JPEG."""
    tile = _painting(1000, 750).astype(int) + np.random.default_rng(4).integers(
        -12, 13, (750, 1000, 3)
    )
    tile = np.clip(tile, 0, 255).astype(np.uint8)
    tiles = np.tile(tile, (-(-height // 750), -(-width // 1000), 1))
    return Image.fromarray(tiles[:height, :width])


@pytest.fixture(scope="module")
def photograph_48mp() -> bytes:
    data = pictures.save(_photograph(8000, 6000), "JPEG", quality=90, exif=pictures.exif(6))
    assert 8 * MIB < len(data) < 20 * MIB
    return data


def test_memory_of_a_48_megapixel_jpeg(photograph_48mp: bytes, tmp_path: Path) -> None:
    code, added = _added_memory(photograph_48mp, 64, tmp_path, GOOD["jpeg"]().data)
    assert code == "read"
    assert added < 150 * MIB


def test_memory_of_a_48_megapixel_jpeg_for_a_large_model(
    photograph_48mp: bytes, tmp_path: Path
) -> None:
    code, added = _added_memory(photograph_48mp, 448, tmp_path, GOOD["jpeg"]().data)
    assert code == "read"
    assert added < 150 * MIB


@pytest.mark.parametrize(
    ("subsampling", "target"), [(2, 96), (2, 250), (0, 448)], ids=["4:2:0", "4:2:0-250", "4:4:4"]
)
def test_memory_of_a_progressive_48_megapixel_jpeg(
    subsampling: int, target: int, tmp_path: Path
) -> None:
    data = pictures.save(
        _photograph(8000, 6000), "JPEG", quality=88, progressive=True, subsampling=subsampling
    )
    assert 8 * MIB < len(data) < 20 * MIB
    code, added = _added_memory(data, target, tmp_path, GOOD["jpeg"]().data)
    assert code == "read"
    assert added < 80 * MIB


def test_48_megapixels_are_read_right(photograph_48mp: bytes) -> None:
    picture = read(photograph_48mp, target=224)
    assert (picture.width, picture.height) == (6000, 8000)
    assert picture.notes == ("rotated", "reduced")
    small = Image.fromarray(_painting(1000, 750)).resize((100, 75), Image.Resampling.BOX)
    corner = picture.rgb[:100, -75:].astype(int)  # the first tile, turned to the right
    expected = np.rot90(np.asarray(small), -1).astype(int)
    at = picture.rgb.shape[0] / 8000 * 10
    resized = np.asarray(
        Image.fromarray(picture.rgb[: round(100 * at), -round(75 * at) :]).resize((75, 100))
    ).astype(int)
    assert corner.shape == expected.shape
    assert np.abs(resized - expected).mean() < 6


@pytest.fixture(scope="module")
def six_megapixels() -> dict[str, bytes]:
    """Make a picture of 3000 × 2000 in every format, some in the most costly way."""
    across, down = np.linspace(0, 255, 3000), np.linspace(0, 255, 2000)
    slope = (across[None, :] + down[:, None]) / 2
    rgb = Image.fromarray(np.dstack([slope, slope[::-1], slope[:, ::-1]]).astype(np.uint8))
    rgba = rgb.copy()
    rgba.putalpha(Image.fromarray(slope.astype(np.uint8)))
    sixteen = Image.fromarray((slope * 257).astype(np.uint16))
    save = pictures.save
    return {
        "png": save(rgb, "PNG", compress_level=1),
        "png-with-transparency": save(rgba, "PNG", compress_level=1),
        "png-grey-16-bits": save(sixteen, "PNG", compress_level=1),
        "jpeg": save(rgb, "JPEG"),
        "jpeg-progressive": save(rgb, "JPEG", progressive=True, subsampling=0),
        "webp": save(rgba, "WEBP", method=0),
        "webp-lossless": save(rgba, "WEBP", lossless=True, method=0, quality=0),
        "gif": save(rgb.convert("L"), "GIF"),
        "avif": save(rgba, "AVIF", speed=10, quality=40, subsampling="4:4:4"),
        "heic": pictures.heic(
            rgba.resize((1500, 1000)), quality=20, chroma=420, matrix_coefficients=1
        ),
        "bmp": save(rgb, "BMP"),
        "tiff": save(rgb, "TIFF"),
        "tiff-lzw": save(rgba, "TIFF", compression="tiff_lzw"),
    }


_SIX = (
    "png", "png-with-transparency", "png-grey-16-bits", "jpeg", "jpeg-progressive", "webp",
    "webp-lossless", "gif", "avif", "heic", "bmp", "tiff", "tiff-lzw",
)  # fmt: skip


@pytest.mark.parametrize("name", _SIX)
def test_memory_is_no_more_than_foreseen(
    name: str, six_megapixels: dict[str, bytes], tmp_path: Path
) -> None:
    """What the limit on memory relies on: the estimate, one strip, and the file with its copy."""
    from tagger.headers import read_header
    from tagger.headers.isobmff import AVIF_BYTES_PER_PIXEL, HEIC_BYTES_PER_PIXEL

    data = six_megapixels[name]
    header = read_header(data, 10)
    rates = {"AVIF": AVIF_BYTES_PER_PIXEL, "HEIC": HEIC_BYTES_PER_PIXEL}
    foreseen = header.memory or rates[header.format] * (1_500_000 if name == "heic" else 6_000_000)
    warm = pictures.save(Image.new("RGB", (8, 8)), "PNG")
    if header.format in rates:
        warm = GOOD[header.format.lower()]().data
    code, added = _added_memory(data, 224, tmp_path, warm, max_bytes=10**9)
    assert code == "read"
    assert added <= foreseen + 2 * len(data) + 32 * MIB


@pytest.mark.parametrize("name", [name for name in BAD if name.startswith("bomb-")])
def test_memory_of_a_bomb(name: str, tmp_path: Path) -> None:
    case = BAD[name]()
    warm = next((GOOD[kind]().data for kind in ("heic", "avif") if kind in name), _png())
    code, added = _added_memory(case.data, 64, tmp_path, warm, **case.limits)
    assert code == case.code
    assert added < 24 * MIB


# --- manners ------------------------------------------------------------------------------------


def test_reading_changes_no_global_state_of_pillow() -> None:
    code = """
import sys, warnings
import numpy
from PIL import Image, ImageFile
def state():
    return Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, warnings.filters[:]
before = state()
from tagger.images import read
from tests.pictures import GOOD
for name in ("png", "jpeg", "webp-lossless", "gif", "avif", "heic", "bmp", "tiff-lzw"):
    read(GOOD[name]().data)
assert state() == before
assert "HEIF" not in Image.OPEN
"""
    _run(code)


def test_start_up_loads_no_decoder_and_no_framework() -> None:
    code = """
import sys
import tagger.images
heavy = {"pillow_heif", "gradio", "fastapi", "pandas", "torch", "onnxruntime", "pydantic"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    _run(code)


def _run(code: str) -> None:
    root = Path(__file__).resolve().parents[1]
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


def test_reading_in_many_threads() -> None:
    cases = [GOOD[name]() for name in ("mode-RGBA", "jpeg", "avif", "heic", "profile-wide-png")]
    expected = [read(case.data).rgb for case in cases]
    failures: list[str] = []

    def work(offset: int) -> None:
        for i in range(20):
            at = (i + offset) % len(cases)
            if not np.array_equal(read(cases[at].data).rgb, expected[at]):
                failures.append(cases[at].format)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("name", ImageLimits.__dataclass_fields__)
def test_limits_must_be_positive(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        ImageLimits(**{name: 0})


def test_pictures_and_limits_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        read(_png()).width = 3  # type: ignore[misc]
    with pytest.raises(AttributeError):
        ImageLimits().max_bytes = 3  # type: ignore[misc]
