"""Files as people send them: every format, mode and oddity, and what must become of each.

``GOOD`` and ``BAD`` map a case's name to a function that makes it. The expected pixels are worked
out here by plain loops over pixels, from the scene and from what a format's specification says,
never by the code under test. Files that Pillow cannot write are put together from their parts.
"""

from __future__ import annotations

import gzip
import io
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Good:
    """A file that must be read, and the result.

    ``tolerance`` is the greatest difference of a value of 0 to 255: above 1 only for formats that
    lose information themselves and for conversions of colours.
    """

    data: bytes
    rgb: Array
    format: str
    tolerance: int = 0
    had_alpha: bool = False
    frames: int = 1
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bad:
    """A file that must be refused, and the code of the error."""

    data: bytes
    code: str
    limits: dict[str, int] = field(default_factory=dict)


GOOD: dict[str, Callable[[], Good]] = {}
BAD: dict[str, Callable[[], Bad]] = {}


def good(name: str) -> Callable[[Callable[[], Good]], Callable[[], Good]]:
    def register(make: Callable[[], Good]) -> Callable[[], Good]:
        assert name not in GOOD
        GOOD[name] = make
        return make

    return register


def bad(name: str) -> Callable[[Callable[[], Bad]], Callable[[], Bad]]:
    def register(make: Callable[[], Bad]) -> Callable[[], Bad]:
        assert name not in BAD
        BAD[name] = make
        return make

    return register


# --- scenes -------------------------------------------------------------------------------------


def scene(width: int = 24, height: int = 16) -> Array:
    """Make a picture without any symmetry: every turn and mirror image of it is another one."""
    rgb = np.zeros((height, width, 3), np.uint8)
    for y in range(height):
        for x in range(width):
            rgb[y, x] = (255 * x // max(1, width - 1), 255 * y // max(1, height - 1), 7 * x % 256)
    rgb[: height // 4, : width // 3] = (250, 20, 30)
    return rgb


def smooth(width: int = 48, height: int = 32) -> Array:
    """Make a picture that lossy formats keep well: large even fields."""
    rgb = np.full((height, width, 3), (200, 180, 90), np.uint8)
    rgb[: height // 2, : width // 3] = (40, 60, 160)
    rgb[height // 2 :, width // 3 :] = (90, 150, 60)
    return rgb


def opacity(width: int = 24, height: int = 16) -> Array:
    """Make all opacities from none to full, uint8 ``[h, w]``."""
    alpha = np.zeros((height, width), np.uint8)
    for y in range(height):
        for x in range(width):
            alpha[y, x] = (x * 11 + y * 3) % 256
    alpha[0, 0], alpha[-1, -1] = 255, 0
    return alpha


def on_white(rgb: Array, alpha: Array) -> Array:
    """Composite by the definition, pixel by pixel."""
    out = np.zeros_like(rgb)
    for y in range(rgb.shape[0]):
        for x in range(rgb.shape[1]):
            a = int(alpha[y, x]) / 255
            for c in range(3):
                out[y, x, c] = round(int(rgb[y, x, c]) * a + 255 * (1 - a))
    return out


def grey_of(rgb: Array) -> Array:
    return rgb[..., 1].copy()


def as_rgb(grey: Array) -> Array:
    return np.stack([grey, grey, grey], -1).astype(np.uint8)


def shown(stored: Array, orientation: int) -> Array:
    """Show stored rows and columns as the table of EXIF's orientations says (4.6.4 A)."""
    height, width = stored.shape[:2]
    where: dict[int, Callable[[int, int], tuple[int, int]]] = {
        1: lambda r, c: (r, c),  # row 0 is at the top, column 0 at the left
        2: lambda r, c: (r, width - 1 - c),  # top, right
        3: lambda r, c: (height - 1 - r, width - 1 - c),  # bottom, right
        4: lambda r, c: (height - 1 - r, c),  # bottom, left
        5: lambda r, c: (c, r),  # left, top
        6: lambda r, c: (c, height - 1 - r),  # right, top
        7: lambda r, c: (width - 1 - c, height - 1 - r),  # right, bottom
        8: lambda r, c: (width - 1 - c, r),  # left, bottom
    }
    shape = (width, height, 3) if orientation >= 5 else (height, width, 3)
    out = np.zeros(shape, np.uint8)
    for r in range(height):
        for c in range(width):
            out[where[orientation](r, c)] = stored[r, c]
    return out


# --- writers ------------------------------------------------------------------------------------


def save(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def heic(image: Image.Image, **options: Any) -> bytes:
    import pillow_heif

    file = io.BytesIO()
    exact = {"quality": -1, "chroma": 444, "matrix_coefficients": 0}
    pillow_heif.from_pillow(image).save(file, **{**exact, **options})
    return file.getvalue()


def exif(orientation: int, order: str = "<") -> bytes:
    mark = b"II" if order == "<" else b"MM"
    return (
        b"Exif\0\0"
        + mark
        + struct.pack(order + "HIH", 42, 8, 1)
        + struct.pack(order + "HHIHHI", 0x0112, 3, 1, orientation, 0, 0)
    )


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    width: int,
    height: int,
    depth: int,
    colour: int,
    rows: bytes,
    *before: bytes,
    after: bytes = b"",
) -> bytes:
    """Put a PNG file together; `rows` without their filter bytes, `before` goes before IDAT."""
    stride = len(rows) // height if height else 0
    raw = b"".join(b"\0" + rows[y * stride : (y + 1) * stride] for y in range(height))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(raw))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(before) + body + after + chunk(b"IEND", b"")


def tiff(
    entries: dict[int, tuple[int, tuple[int, ...]]],
    strip: bytes,
    *,
    order: str = "<",
    big: bool = False,
    following: int = 0,
) -> bytes:
    """Put a TIFF file of one strip together; entries map a tag to (type, values)."""
    sizes = {1: ("B", 1), 3: ("H", 2), 4: ("I", 4), 16: ("Q", 8)}
    header = 16 if big else 8
    entries = {**entries, 273: (4, (header,)), 279: (4, (len(strip),))}
    word, room = ("Q", 8) if big else ("I", 4)
    pool_at = header + len(strip)
    pool, table = b"", b""
    for tag, (kind, values) in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(values)}{sizes[kind][0]}", *values)
        if len(packed) > room:
            field_ = struct.pack(order + word, pool_at + len(pool))
            pool += packed
        else:
            field_ = packed.ljust(room, b"\0")
        table += struct.pack(f"{order}HH{word}", tag, kind, len(values)) + field_
    start = pool_at + len(pool)
    mark = b"II" if order == "<" else b"MM"
    if big:
        head = mark + struct.pack(order + "HHHQ", 43, 8, 0, start)
    else:
        head = mark + struct.pack(order + "HI", 42, start)
    count = struct.pack(order + ("Q" if big else "H"), len(entries))
    return head + strip + pool + count + table + struct.pack(order + word, following)


def tiff_entries(width: int, height: int, bits: tuple[int, ...], photometric: int) -> Any:
    return {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, bits),
        259: (3, (1,)),
        262: (3, (photometric,)),
        277: (3, (len(bits),)),
        278: (4, (height,)),
    }


# --- good: formats ------------------------------------------------------------------------------


@good("png")
def _() -> Good:
    return Good(save(Image.fromarray(scene()), "PNG"), scene(), "PNG")


@good("png-interlaced")
def _() -> Good:
    # Adam7 with a single pixel in the first pass; larger pictures differ only in the number.
    raw = b"\0" + bytes((10, 20, 30))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 1))
    data = b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")
    return Good(data, np.array([[[10, 20, 30]]], np.uint8), "PNG")


@good("png-without-its-end-mark")
def _() -> Good:
    return Good(save(Image.fromarray(scene()), "PNG")[:-12], scene(), "PNG")


@good("png-with-long-compressed-text")
def _() -> Good:
    # Programs keep whole workflows in here; Pillow refuses texts that unfold to over a megabyte.
    text = chunk(b"zTXt", b"workflow\0\0" + zlib.compress(b"{}" * 2_000_000))
    rgb = scene()
    return Good(png(24, 16, 8, 2, rgb.tobytes(), text), rgb, "PNG")


@good("png-with-damaged-text")
def _() -> Good:
    rgb = scene()
    text = bytearray(chunk(b"tEXt", b"Comment\0hello"))
    text[-1] ^= 0xFF  # wrong checksum of something that is not the picture
    return Good(png(24, 16, 8, 2, rgb.tobytes(), bytes(text)), rgb, "PNG")


@good("jpeg")
def _() -> Good:
    data = save(Image.fromarray(smooth()), "JPEG", quality=100, subsampling=0)
    return Good(data, smooth(), "JPEG", tolerance=3)


@good("jpeg-progressive")
def _() -> Good:
    data = save(Image.fromarray(smooth()), "JPEG", quality=100, subsampling=0, progressive=True)
    return Good(data, smooth(), "JPEG", tolerance=3)


@good("jpeg-grey")
def _() -> Good:
    grey = grey_of(smooth())
    data = save(Image.fromarray(grey), "JPEG", quality=100)
    return Good(data, as_rgb(grey), "JPEG", tolerance=2)


@good("jpeg-with-a-second-picture-and-a-video-behind-it")
def _() -> Good:
    # As phones write depth, HDR and motion: the first picture counts, and it is not an animation.
    first = Image.fromarray(smooth())
    data = save(
        first,
        "MPO",
        save_all=True,
        append_images=[Image.new("RGB", (48, 32))],
        quality=100,
        subsampling=0,
    )
    return Good(data + b"\xff\xda\x00" * 500, smooth(), "JPEG", tolerance=3)


@good("webp-lossless")
def _() -> Good:
    return Good(save(Image.fromarray(scene()), "WEBP", lossless=True), scene(), "WEBP")


@good("webp-lossy")
def _() -> Good:
    rgb = np.full((32, 48, 3), (40, 60, 160), np.uint8)  # its halved chroma blurs edges of colours
    return Good(save(Image.fromarray(rgb), "WEBP", quality=100), rgb, "WEBP", tolerance=4)


@good("webp-lossy-grey")
def _() -> Good:
    grey = as_rgb(grey_of(smooth()))
    data = save(Image.fromarray(grey), "WEBP", quality=100)
    return Good(data, grey, "WEBP", tolerance=4)


@good("webp-with-transparency")
def _() -> Good:
    rgba = np.dstack([scene(), opacity()])
    data = save(Image.fromarray(rgba), "WEBP", lossless=True, exact=True)
    return Good(data, on_white(scene(), opacity()), "WEBP", tolerance=1, had_alpha=True)


@good("gif")
def _() -> Good:
    grey = grey_of(scene())
    palette = bytes(v for i in range(256) for v in (i, 255 - i, i // 2))
    image = Image.fromarray(grey)
    image = Image.frombytes("P", image.size, grey.tobytes())
    image.putpalette(palette)
    expected = np.zeros((*grey.shape, 3), np.uint8)
    for y, row in enumerate(grey):
        for x, i in enumerate(row):
            expected[y, x] = (i, 255 - int(i), int(i) // 2)
    return Good(save(image, "GIF"), expected, "GIF")


@good("avif")
def _() -> Good:
    data = save(Image.fromarray(smooth()), "AVIF", quality=100, subsampling="4:4:4")
    return Good(data, smooth(), "AVIF", tolerance=4)


@good("avif-with-transparency")
def _() -> Good:
    alpha = np.zeros((32, 48), np.uint8)
    alpha[:, 24:] = 255
    rgba = np.dstack([smooth(), alpha])
    data = save(Image.fromarray(rgba), "AVIF", quality=100, subsampling="4:4:4")
    expected = on_white(smooth(), alpha)
    return Good(data, expected, "AVIF", tolerance=6, had_alpha=True)


@good("heic")
def _() -> Good:
    return Good(heic(Image.fromarray(smooth())), smooth(), "HEIC", tolerance=1)


@good("heic-with-transparency")
def _() -> Good:
    alpha = np.zeros((32, 48), np.uint8)
    alpha[:, 24:] = 255
    rgba = np.dstack([smooth(), alpha])
    data = heic(Image.fromarray(rgba))
    return Good(data, on_white(smooth(), alpha), "HEIC", tolerance=1, had_alpha=True)


@good("heic-10-bit")
def _() -> Good:
    import pillow_heif

    sixteen = (smooth().astype(np.uint16) * 257).astype("<u2")
    file = io.BytesIO()
    pillow_heif.from_bytes("RGB;16", (48, 32), sixteen.tobytes()).save(
        file, quality=-1, chroma=444, matrix_coefficients=0
    )
    return Good(file.getvalue(), smooth(), "HEIC", tolerance=2)


@good("bmp")
def _() -> Good:
    return Good(save(Image.fromarray(scene()), "BMP"), scene(), "BMP")


@good("bmp-top-down")
def _() -> Good:
    rgb = scene(4, 3)
    head = struct.pack("<IiiHHIIiiII", 40, 4, -3, 1, 24, 0, 36, 2835, 2835, 0, 0)
    body = rgb[..., ::-1].tobytes()
    data = b"BM" + struct.pack("<IHHI", 54 + len(body), 0, 0, 54) + head + body
    return Good(data, rgb, "BMP")


@good("bmp-palette-run-length")
def _() -> Good:
    # Two rows of four pixels, bottom first: a run of four, then four by name.
    palette = b"\x00\x00\x00\x00" + b"\x10\x20\x30\x00" + b"\x80\x90\xa0\x00"  # blue, green, red
    rle = b"\x04\x01\x00\x00" + b"\x00\x04\x01\x02\x01\x02\x00\x00" + b"\x00\x01"
    offset = 54 + len(palette)
    head = struct.pack("<IiiHHIIiiII", 40, 4, 2, 1, 8, 1, len(rle), 2835, 2835, 3, 0)
    data = b"BM" + struct.pack("<IHHI", offset + len(rle), 0, 0, offset) + head + palette + rle
    one, two = (0x30, 0x20, 0x10), (0xA0, 0x90, 0x80)
    return Good(data, np.array([[one, two, one, two], [one] * 4], np.uint8), "BMP")


def _tiff_case(name: str, **options: Any) -> None:
    @good(f"tiff-{name}")
    def _() -> Good:
        tolerance = 3 if options.get("compression") == "jpeg" else 0
        rgb = smooth() if tolerance else scene()
        return Good(save(Image.fromarray(rgb), "TIFF", **options), rgb, "TIFF", tolerance)


_tiff_case("uncompressed")
_tiff_case("lzw", compression="tiff_lzw")
_tiff_case("deflate", compression="tiff_adobe_deflate")
_tiff_case("packbits", compression="packbits")
_tiff_case("jpeg", compression="jpeg", quality=100)
_tiff_case("lzma", compression="lzma")
_tiff_case("zstd", compression="zstd")
_tiff_case("bigtiff", big_tiff=True)


@good("tiff-fax-group-4")
def _() -> Good:
    bits = grey_of(scene()) > 127
    data = save(Image.fromarray(bits), "TIFF", compression="group4")
    return Good(data, as_rgb(np.where(bits, 255, 0)), "TIFF")


@good("tiff-planes-apart")
def _() -> Good:
    rgb = scene(6, 4)
    entries = tiff_entries(6, 4, (8, 8, 8), 2)
    entries |= {284: (3, (2,)), 273: (4, (8, 32, 56)), 279: (4, (24, 24, 24))}
    strip = rgb.transpose(2, 0, 1).tobytes()
    data = _tiff_of_parts(entries, strip)
    return Good(data, rgb, "TIFF")


def _tiff_of_parts(entries: Any, body: bytes) -> bytes:
    """Put a TIFF file together that says itself where its strips or tiles are."""
    sizes = {3: "H", 4: "I"}
    pool, table = b"", b""
    pool_at = 8 + len(body)
    for tag, (kind, values) in sorted(entries.items()):
        packed = struct.pack(f"<{len(values)}{sizes[kind]}", *values)
        value = packed.ljust(4, b"\0")
        if len(packed) > 4:
            value = struct.pack("<I", pool_at + len(pool))
            pool += packed
        table += struct.pack("<HHI", tag, kind, len(values)) + value
    directory = struct.pack("<H", len(entries)) + table + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", pool_at + len(pool)) + body + pool + directory


@good("tiff-tiles")
def _() -> Good:
    rgb = scene(24, 16)
    tiles = np.zeros((16, 32, 3), np.uint8)
    tiles[:, :24] = rgb
    body = tiles[:, :16].tobytes() + tiles[:, 16:].tobytes()
    entries = tiff_entries(24, 16, (8, 8, 8), 2)
    del entries[278]
    entries |= {322: (4, (16,)), 323: (4, (16,)), 324: (4, (8, 776)), 325: (4, (768, 768))}
    return Good(_tiff_of_parts(entries, body), rgb, "TIFF")


@good("tiff-several-pages")
def _() -> Good:
    pages = [Image.new("RGB", (24, 16), colour) for colour in ("red", "green", "blue")]
    data = save(
        Image.fromarray(scene()),
        "TIFF",
        save_all=True,
        append_images=pages,
        compression="tiff_lzw",
    )
    return Good(data, scene(), "TIFF", frames=4, notes=("first-frame",))


@good("tiff-whose-pages-lead-in-a-circle")
def _() -> Good:
    rgb = scene(4, 3)
    data = bytearray(tiff(tiff_entries(4, 3, (8, 8, 8), 2), rgb.tobytes()))
    first = struct.unpack_from("<I", data, 4)[0]
    data[-4:] = struct.pack("<I", first)
    return Good(bytes(data), rgb, "TIFF")


# --- good: modes --------------------------------------------------------------------------------


@good("mode-1")
def _() -> Good:
    bits = grey_of(scene()) > 127
    return Good(save(Image.fromarray(bits), "PNG"), as_rgb(np.where(bits, 255, 0)), "PNG")


@good("mode-1-with-transparent-black")
def _() -> Good:
    # 8 pixels: 1 0 1 0 1 1 0 0; the colour 0 is transparent.
    data = png(8, 1, 1, 0, b"\xac", chunk(b"tRNS", struct.pack(">H", 0)))
    return Good(data, np.full((1, 8, 3), 255, np.uint8), "PNG", had_alpha=True)


@good("mode-L")
def _() -> Good:
    grey = grey_of(scene())
    return Good(save(Image.fromarray(grey), "PNG"), as_rgb(grey), "PNG")


@good("mode-L-2-bits-with-transparent-white")
def _() -> Good:
    # Pixels 0 1 2 3; the colour is given in the file's own 2 bits.
    data = png(4, 1, 2, 0, b"\x1b", chunk(b"tRNS", struct.pack(">H", 3)))
    expected = as_rgb(np.array([[0, 85, 170, 255]]))
    return Good(data, expected, "PNG", had_alpha=True)


@good("mode-L-4-bits-with-transparent-colour")
def _() -> Good:
    data = png(4, 1, 4, 0, b"\x05\x5f", chunk(b"tRNS", struct.pack(">H", 5)))
    return Good(data, as_rgb(np.array([[0, 255, 255, 255]])), "PNG", had_alpha=True)


@good("mode-L-with-transparent-colour")
def _() -> Good:
    grey = grey_of(scene())
    data = png(24, 16, 8, 0, grey.tobytes(), chunk(b"tRNS", struct.pack(">H", int(grey[5, 9]))))
    expected = grey.copy()
    for y in range(16):
        for x in range(24):
            if grey[y, x] == grey[5, 9]:
                expected[y, x] = 255
    return Good(data, as_rgb(expected), "PNG", had_alpha=True)


@good("mode-LA")
def _() -> Good:
    grey, alpha = grey_of(scene()), opacity()
    data = save(Image.fromarray(np.dstack([grey, alpha])), "PNG")
    return Good(data, on_white(as_rgb(grey), alpha), "PNG", tolerance=1, had_alpha=True)


@good("mode-P-without-transparency")
def _() -> Good:
    index = grey_of(scene()) // 32
    palette = [(20 * i, 255 - 30 * i, 128) for i in range(8)]
    plte = chunk(b"PLTE", bytes(v for colour in palette for v in colour))
    expected = np.array([[palette[i] for i in row] for row in index], np.uint8)
    return Good(png(24, 16, 8, 3, index.tobytes(), plte), expected, "PNG")


@good("mode-P-with-one-transparent-index")
def _() -> Good:
    index = grey_of(scene()) // 32
    palette = [(20 * i, 255 - 30 * i, 128) for i in range(8)]
    plte = chunk(b"PLTE", bytes(v for colour in palette for v in colour))
    trns = chunk(b"tRNS", b"\xff\xff\x00")
    # The hidden colour of index 2 must not show.
    expected = np.array(
        [[(255, 255, 255) if i == 2 else palette[i] for i in row] for row in index], np.uint8
    )
    data = png(24, 16, 8, 3, index.tobytes(), plte, trns)
    return Good(data, expected, "PNG", had_alpha=True)


@good("mode-P-with-opacities")
def _() -> Good:
    index = grey_of(scene()) // 32
    palette = np.array([(20 * i, 255 - 30 * i, 128) for i in range(8)], np.uint8)
    opacities = np.array([0, 10, 100, 128, 200, 255, 255, 255], np.uint8)
    plte = chunk(b"PLTE", palette.tobytes())
    trns = chunk(b"tRNS", opacities[:5].tobytes())  # the rest is opaque
    data = png(24, 16, 8, 3, index.tobytes(), plte, trns)
    expected = on_white(palette[index], opacities[index])
    return Good(data, expected, "PNG", tolerance=1, had_alpha=True)


@good("mode-P-with-one-bit")
def _() -> Good:
    plte = chunk(b"PLTE", bytes((10, 20, 30, 200, 100, 50)))
    expected = np.array([[(200, 100, 50), (10, 20, 30)] * 4], np.uint8)
    return Good(png(8, 1, 1, 3, b"\xaa", plte), expected, "PNG")


@good("mode-RGB-with-transparent-colour")
def _() -> Good:
    rgb = scene()
    key = tuple(int(v) for v in rgb[0, 0])
    expected = rgb.copy()
    for y in range(16):
        for x in range(24):
            if tuple(int(v) for v in rgb[y, x]) == key:
                expected[y, x] = 255
    data = png(24, 16, 8, 2, rgb.tobytes(), chunk(b"tRNS", struct.pack(">3H", *key)))
    return Good(data, expected, "PNG", had_alpha=True)


@good("mode-RGBA")
def _() -> Good:
    data = save(Image.fromarray(np.dstack([scene(), opacity()])), "PNG")
    return Good(data, on_white(scene(), opacity()), "PNG", tolerance=1, had_alpha=True)


@good("mode-RGBA-fully-opaque")
def _() -> Good:
    alpha = np.full((16, 24), 255, np.uint8)
    return Good(save(Image.fromarray(np.dstack([scene(), alpha])), "PNG"), scene(), "PNG")


@good("mode-RGBA-premultiplied-tiff")
def _() -> Good:
    # Associated alpha (ExtraSamples 1): 50 % of (200, 100, 0) is stored as (100, 50, 0).
    entries = tiff_entries(1, 1, (8, 8, 8, 8), 2) | {338: (3, (1,))}
    data = tiff(entries, bytes((100, 50, 0, 128)))
    expected = np.array([[[227, 177, 127]]], np.uint8)
    return Good(data, expected, "TIFF", tolerance=1, had_alpha=True)


@good("mode-RGB-16-bits")
def _() -> Good:
    rgb = scene()
    sixteen = rgb.astype(np.uint16) * 257
    data = png(24, 16, 16, 2, sixteen.astype(">u2").tobytes())
    return Good(data, rgb, "PNG")


@good("mode-RGB-16-bits-with-transparent-colour")
def _() -> Good:
    sixteen = np.array([[(0x1234, 0x5678, 0x9ABC), (0x2000, 0x4000, 0x6000)]])
    key = chunk(b"tRNS", struct.pack(">3H", 0x1234, 0x5678, 0x9ABC))
    data = png(2, 1, 16, 2, sixteen.astype(">u2").tobytes(), key)
    expected = np.array([[(255, 255, 255), (0x20, 0x40, 0x60)]], np.uint8)
    return Good(data, expected, "PNG", tolerance=1, had_alpha=True)


@good("mode-RGBA-16-bits")
def _() -> Good:
    rgba = np.dstack([scene(), opacity()]).astype(np.uint16) * 257
    data = png(24, 16, 16, 6, rgba.astype(">u2").tobytes())
    return Good(data, on_white(scene(), opacity()), "PNG", tolerance=1, had_alpha=True)


def _ramp16() -> Array:
    """All of 16 bits, in 256 steps: what clipping would turn white."""
    return (np.arange(256, dtype=np.uint32) * 257).astype(np.uint16).reshape(16, 16)


@good("mode-I;16-png")
def _() -> Good:
    data = png(16, 16, 16, 0, _ramp16().astype(">u2").tobytes())
    expected = as_rgb(np.array([round(int(v) / 257) for v in _ramp16().flat]).reshape(16, 16))
    return Good(data, expected, "PNG")


@good("mode-I;16-png-with-transparent-colour")
def _() -> Good:
    data = png(16, 16, 16, 0, _ramp16().astype(">u2").tobytes(), chunk(b"tRNS", b"\x01\x01"))
    expected = np.arange(256).reshape(16, 16)
    expected[0, 1] = 255
    return Good(data, as_rgb(expected), "PNG", had_alpha=True)


@good("mode-I;16-tiff")
def _() -> Good:
    data = tiff(tiff_entries(16, 16, (16,), 1), _ramp16().astype("<u2").tobytes())
    return Good(data, as_rgb(np.arange(256).reshape(16, 16)), "TIFF")


@good("mode-I;16-tiff-big-endian")
def _() -> Good:
    data = tiff(tiff_entries(16, 16, (16,), 1), _ramp16().astype(">u2").tobytes(), order=">")
    return Good(data, as_rgb(np.arange(256).reshape(16, 16)), "TIFF")


@good("mode-I;16-tiff-big-endian-bigtiff")
def _() -> Good:
    strip = _ramp16().astype(">u2").tobytes()
    data = tiff(tiff_entries(16, 16, (16,), 1), strip, order=">", big=True)
    return Good(data, as_rgb(np.arange(256).reshape(16, 16)), "TIFF")


@good("mode-I;16-tiff-white-is-zero")
def _() -> Good:
    data = tiff(tiff_entries(16, 16, (16,), 0), _ramp16().astype("<u2").tobytes())
    return Good(data, as_rgb(255 - np.arange(256).reshape(16, 16)), "TIFF")


@good("mode-L-tiff-white-is-zero")
def _() -> Good:
    grey = grey_of(scene())
    data = tiff(tiff_entries(24, 16, (8,), 0), grey.tobytes())
    return Good(data, as_rgb(255 - grey.astype(int)), "TIFF")


@good("mode-I;16-tiff-12-bits")
def _() -> Good:
    # Two samples in three bytes: 0x000 and 0xFFF, then 0x800 and 0x123.
    strip = b"\x00\x0f\xff" + b"\x80\x01\x23"
    data = tiff(tiff_entries(4, 1, (12,), 1), strip)
    expected = [round(v * 255 / 4095) for v in (0x000, 0xFFF, 0x800, 0x123)]
    return Good(data, as_rgb(np.array([expected])), "TIFF")


@good("mode-I-tiff-32-bits")
def _() -> Good:
    values = np.array([[-100, 0, 50, 100]], "<i4")
    data = tiff(tiff_entries(4, 1, (32,), 1) | {339: (3, (2,))}, values.tobytes())
    expected = [round((v + 100) / 200 * 255) for v in (-100, 0, 50, 100)]
    return Good(data, as_rgb(np.array([expected])), "TIFF", 1, notes=("tones-stretched",))


@good("mode-F-tiff-0-to-1")
def _() -> Good:
    values = np.array([[0.0, 0.25, 0.5, 1.0]], "<f4")
    data = tiff(tiff_entries(4, 1, (32,), 1) | {339: (3, (3,))}, values.tobytes())
    return Good(data, as_rgb(np.array([[0, 64, 128, 255]])), "TIFF", tolerance=1)


@good("mode-F-tiff-0-to-255")
def _() -> Good:
    values = np.array([[0.0, 64.0, 200.0, 255.0]], "<f4")
    data = tiff(tiff_entries(4, 1, (32,), 1) | {339: (3, (3,))}, values.tobytes())
    return Good(data, as_rgb(np.array([[0, 64, 200, 255]])), "TIFF")


@good("mode-F-tiff-stretched-with-nan-and-infinity")
def _() -> Good:
    values = np.array([[-1.0, np.nan, 1.0, np.inf]], "<f4")
    data = tiff(tiff_entries(4, 1, (32,), 1) | {339: (3, (3,))}, values.tobytes())
    expected = as_rgb(np.array([[0, 0, 255, 255]]))
    return Good(data, expected, "TIFF", notes=("tones-stretched",))


def _cmyk_to_rgb(cmyk: Array) -> Array:
    out = np.zeros((*cmyk.shape[:2], 3), np.uint8)
    for y in range(cmyk.shape[0]):
        for x in range(cmyk.shape[1]):
            c, m, yellow, k = (int(v) / 255 for v in cmyk[y, x])
            out[y, x] = [round(255 * (1 - ink) * (1 - k)) for ink in (c, m, yellow)]
    return out


def _inks() -> Array:
    cmyk = np.zeros((32, 48, 4), np.uint8)
    cmyk[:, :16] = (255, 0, 0, 0)
    cmyk[:, 16:32] = (0, 128, 200, 30)
    cmyk[16:, 32:] = (0, 0, 0, 255)
    return cmyk


@good("mode-CMYK-tiff")
def _() -> Good:
    image = Image.frombytes("CMYK", (48, 32), _inks().tobytes())
    return Good(save(image, "TIFF"), _cmyk_to_rgb(_inks()), "TIFF", tolerance=1)


@good("mode-CMYK-jpeg-inverted-as-adobe-does")
def _() -> Good:
    image = Image.frombytes("CMYK", (48, 32), _inks().tobytes())
    data = save(image, "JPEG", quality=100, subsampling=0)
    assert b"Adobe" in data  # the mark that says so
    return Good(data, _cmyk_to_rgb(_inks()), "JPEG", tolerance=4)


@good("mode-LAB-tiff")
def _() -> Good:
    # L* 100 is white, L* 0 black, and L* 53.6 without colour is the middle grey of sRGB, 128.
    lab = bytes((255, 0, 0, 0, 0, 0, 137, 0, 0))
    data = tiff(tiff_entries(3, 1, (8, 8, 8), 8), lab)
    return Good(data, as_rgb(np.array([[255, 0, 128]])), "TIFF", tolerance=3)


# --- good: colour profiles ----------------------------------------------------------------------


def _profile(red: tuple[float, float], green: tuple[float, float], gamma: float) -> bytes:
    """Write a display profile (ICC v2, matrix and curves) with sRGB's blue and white."""

    def fixed(value: float) -> bytes:
        return struct.pack(">i", round(value * 65536))

    matrix = _matrix_d50(red, green, (0.15, 0.06))
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"desc\0\0\0\0" + struct.pack(">I", 5) + b"test\0" + b"\0" * 79
    tags = [(b"desc", text + b"\0" * (-len(text) % 4)), (b"cprt", b"text\0\0\0\0none\0\0\0\0")]
    tags.append((b"wtpt", b"XYZ \0\0\0\0" + b"".join(map(fixed, (0.9642, 1.0, 0.8249)))))
    for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix.T, strict=True):
        tags.append((name, b"XYZ \0\0\0\0" + b"".join(fixed(v) for v in column)))
    tags += [(name, curve) for name in (b"rTRC", b"gTRC", b"bTRC")]
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, content in tags:
        table += name + struct.pack(">II", start + len(body), len(content))
        body += content
    head = struct.pack(
        ">I4sI4s4s4s", start + len(body), b"none", 0x02100000, b"mntr", b"RGB ", b"XYZ "
    )
    head += b"\0" * 12 + b"acsp" + b"\0" * 28 + b"".join(map(fixed, (0.9642, 1.0, 0.8249)))
    return head.ljust(128, b"\0") + table + body


def _matrix_d50(*primaries: tuple[float, float]) -> Array:
    """Make the matrix from linear RGB to XYZ under D50 (Bradford), from D65."""
    xyz = np.array([[x / y, 1.0, (1 - x - y) / y] for x, y in primaries]).T
    white = np.array([0.95047, 1.0, 1.08883])
    matrix = xyz * np.linalg.solve(xyz, white)
    cone = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    scale = np.diag(cone @ np.array([0.96422, 1.0, 0.82521]) / (cone @ white))
    adapted: Array = np.linalg.inv(cone) @ scale @ cone @ matrix
    return adapted


SRGB = ((0.64, 0.33), (0.30, 0.60))
ADOBE = ((0.64, 0.33), (0.21, 0.71))


def _through_profile(rgb: Array, gamma: float) -> Array:
    """Convert Adobe RGB primaries to sRGB by the formulas, pixel by pixel."""
    to_srgb = np.linalg.inv(_matrix_d50(*SRGB, (0.15, 0.06))) @ _matrix_d50(*ADOBE, (0.15, 0.06))
    out = np.zeros_like(rgb)
    for y in range(rgb.shape[0]):
        for x in range(rgb.shape[1]):
            linear = to_srgb @ (rgb[y, x] / 255.0) ** gamma
            for c, value in enumerate(np.clip(linear, 0, 1)):
                coded = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
                out[y, x, c] = round(255 * coded)
    return out


def wide_profile() -> bytes:
    return _profile(*ADOBE, 2.19921875)


@good("profile-wide-png")
def _() -> Good:
    data = save(Image.fromarray(scene()), "PNG", icc_profile=wide_profile())
    expected = _through_profile(scene(), 2.19921875)
    return Good(data, expected, "PNG", tolerance=4, notes=("profile-applied",))


@good("profile-wide-jpeg")
def _() -> Good:
    data = save(
        Image.fromarray(smooth()), "JPEG", quality=100, subsampling=0, icc_profile=wide_profile()
    )
    expected = _through_profile(smooth(), 2.19921875)
    return Good(data, expected, "JPEG", tolerance=6, notes=("profile-applied",))


@good("profile-wide-webp")
def _() -> Good:
    data = save(Image.fromarray(scene()), "WEBP", lossless=True, icc_profile=wide_profile())
    expected = _through_profile(scene(), 2.19921875)
    return Good(data, expected, "WEBP", tolerance=4, notes=("profile-applied",))


@good("profile-wide-tiff")
def _() -> Good:
    data = save(Image.fromarray(scene()), "TIFF", icc_profile=wide_profile())
    expected = _through_profile(scene(), 2.19921875)
    return Good(data, expected, "TIFF", tolerance=4, notes=("profile-applied",))


@good("profile-wide-heic")
def _() -> Good:
    image = Image.fromarray(smooth())
    image.info["icc_profile"] = wide_profile()
    expected = _through_profile(smooth(), 2.19921875)
    return Good(heic(image), expected, "HEIC", tolerance=5, notes=("profile-applied",))


@good("profile-wide-avif-with-transparency")
def _() -> Good:
    alpha = np.zeros((32, 48), np.uint8)
    alpha[:, 24:] = 255
    rgba = Image.fromarray(np.dstack([smooth(), alpha]))
    data = save(rgba, "AVIF", quality=100, subsampling="4:4:4", icc_profile=wide_profile())
    expected = on_white(_through_profile(smooth(), 2.19921875), alpha)
    return Good(data, expected, "AVIF", 8, had_alpha=True, notes=("profile-applied",))


@good("profile-srgb-changes-nothing")
def _() -> Good:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return Good(save(Image.fromarray(scene()), "PNG", icc_profile=srgb), scene(), "PNG")


@good("profile-of-other-colours-is-ignored")
def _() -> Good:
    # A grey picture that says its numbers are red, green and blue.
    grey = grey_of(scene())
    data = save(Image.fromarray(grey), "PNG", icc_profile=wide_profile())
    return Good(data, as_rgb(grey), "PNG", notes=("profile-ignored",))


@good("profile-damaged-is-ignored")
def _() -> Good:
    broken = bytearray(wide_profile())
    broken[132:] = b"\xff" * (len(broken) - 132)
    data = save(Image.fromarray(scene()), "PNG", icc_profile=bytes(broken))
    return Good(data, scene(), "PNG", notes=("profile-ignored",))


@good("profile-bomb-is-ignored")
def _() -> Good:
    rgb = scene()
    bomb = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(50_000_000), 9))
    return Good(png(24, 16, 8, 2, rgb.tobytes(), bomb), rgb, "PNG")


# --- good: orientations -------------------------------------------------------------------------


def _turned(format: str, name: str, orientation: int) -> None:
    @good(f"orientation-{orientation}-{name}")
    def _() -> Good:
        stored, tolerance = scene(), 0
        notes = ("rotated",) if orientation != 1 else ()
        if format == "JPEG":
            stored, tolerance = smooth(), 3
            order = "<" if orientation % 2 else ">"
            data = save(
                Image.fromarray(stored),
                "JPEG",
                quality=100,
                subsampling=0,
                exif=exif(orientation, order),
            )
        elif format == "PNG":
            body = stored.tobytes()
            data = png(24, 16, 8, 2, body, after=chunk(b"eXIf", exif(orientation)[6:]))
        elif format == "WEBP":
            data = save(Image.fromarray(stored), "WEBP", lossless=True, exif=exif(orientation))
        elif format == "TIFF":
            data = save(
                Image.fromarray(stored),
                "TIFF",
                compression="tiff_lzw",
                tiffinfo={0x0112: orientation},
            )
        elif format == "AVIF":
            stored, tolerance = smooth(), 4
            data = save(
                Image.fromarray(stored),
                "AVIF",
                quality=100,
                subsampling="4:4:4",
                exif=exif(orientation)[6:],
            )
        else:
            # The encoder writes the turn into boxes, and the library turns what it decodes.
            stored, tolerance, notes = smooth(), 1, ()
            data = heic(Image.fromarray(stored), exif=exif(orientation))
        return Good(data, shown(stored, orientation), format, tolerance, notes=notes)


for _orientation in range(1, 9):
    for _format, _name in (
        ("JPEG", "jpeg"),
        ("PNG", "png"),
        ("WEBP", "webp"),
        ("TIFF", "tiff"),
        ("AVIF", "avif"),
        ("HEIC", "heic"),
    ):
        _turned(_format, _name, _orientation)


@good("orientation-out-of-range-is-upright")
def _() -> Good:
    data = save(Image.fromarray(smooth()), "JPEG", quality=100, subsampling=0, exif=exif(77))
    return Good(data, smooth(), "JPEG", tolerance=3)


@good("orientation-in-damaged-exif-is-upright")
def _() -> Good:
    data = save(
        Image.fromarray(smooth()),
        "JPEG",
        quality=100,
        subsampling=0,
        exif=b"Exif\0\0II*\0\xff\xff\xff\xff",
    )
    return Good(data, smooth(), "JPEG", tolerance=3)


@good("exif-whose-entries-overlap-is-not-unfolded")
def _() -> Good:
    # 4,000 entries that all claim the same 60,000 bytes: a library that reads them takes 240 MB.
    count = 4000
    entries = b"".join(struct.pack("<HHII", 0x9000 + i, 7, 60_000, 8) for i in range(count))
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, count) + entries
    data = save(Image.fromarray(smooth()), "JPEG", quality=100, subsampling=0)
    segment = b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block
    return Good(data[:2] + segment + data[2:], smooth(), "JPEG", tolerance=3)


# --- good: animations ---------------------------------------------------------------------------


def _moving(format: str, name: str, tolerance: int, **options: Any) -> None:
    @good(f"animated-{name}")
    def _() -> Good:
        first = smooth()
        if format == "GIF":
            first[...] = (200, 180, 90)  # a palette of one colour, so that nothing is lost
        others = [Image.new("RGB", (48, 32), colour) for colour in ("red", "blue")]
        data = save(
            Image.fromarray(first),
            format,
            save_all=True,
            append_images=others,
            duration=100,
            **options,
        )
        return Good(data, first, format, tolerance, frames=3, notes=("first-frame",))


_moving("GIF", "gif", 0)
_moving("PNG", "apng", 0)
_moving("WEBP", "webp", 0, lossless=True)
_moving("AVIF", "avif", 4, quality=100, subsampling="4:4:4")


@good("webp-whose-first-frame-is-smaller-than-the-canvas")
def _() -> Good:
    frames = [Image.new("RGB", (8, 6), colour) for colour in ((200, 100, 50), (10, 20, 30))]
    options: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "lossless": True}
    data = bytearray(save(frames[0], "WEBP", **options))
    start = data.index(b"VP8X") + 12
    data[start : start + 6] = (15).to_bytes(3, "little") + (11).to_bytes(3, "little")
    expected = np.full((12, 16, 3), 255, np.uint8)
    expected[:6, :8] = (200, 100, 50)
    notes = ("first-frame",)
    return Good(bytes(data), expected, "WEBP", had_alpha=True, frames=2, notes=notes)


@good("animated-apng-with-a-still-of-its-own")
def _() -> Good:
    # The still, which other programs show, is no frame of the animation.
    data = save(
        Image.fromarray(scene()),
        "PNG",
        save_all=True,
        default_image=True,
        append_images=[Image.new("RGB", (24, 16), colour) for colour in ("red", "blue")],
    )
    return Good(data, scene(), "PNG", frames=3, notes=("first-frame",))


@good("animated-apng-that-clears-its-canvas")
def _() -> Good:
    data = save(
        Image.fromarray(scene()),
        "PNG",
        save_all=True,
        append_images=[Image.new("RGB", (24, 16), "red")],
        disposal=1,
    )
    return Good(data, scene(), "PNG", frames=2, notes=("first-frame",))


def _gif(
    screen: tuple[int, int], frames: list[tuple[int, int, int, int]], clear: int = -1
) -> bytes:
    """Put a GIF together of a palette of four colours; every frame is full of colour 1."""
    palette = bytes((0, 0, 0, 200, 100, 50, 10, 20, 30, 255, 255, 0))
    data = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x81, 0, 0) + palette
    for left, top, width, height in frames:
        if clear >= 0:
            data += b"\x21\xf9\x04" + struct.pack("<BHBB", 1, 10, clear, 0)
        # Codes of three bits, the table cleared before it grows: no compression at all.
        codes = [4] + [code for _ in range(width * height) for code in (1, 4)] + [5]
        bits = sum(code << (3 * i) for i, code in enumerate(codes))
        body = bits.to_bytes((3 * len(codes) + 7) // 8, "little")
        blocks = [body[i : i + 255] for i in range(0, len(body), 255)]
        data += b"," + struct.pack("<4HB", left, top, width, height, 0) + b"\x02"
        data += b"".join(bytes((len(block),)) + block for block in blocks) + b"\0"
    return data + b";"


@good("gif-whose-first-frame-is-smaller-than-the-screen")
def _() -> Good:
    expected = np.full((6, 8, 3), 255, np.uint8)
    expected[2:5, 3:7] = (200, 100, 50)
    return Good(_gif((8, 6), [(3, 2, 4, 3)]), expected, "GIF", had_alpha=True)


@good("gif-with-a-transparent-first-frame")
def _() -> Good:
    expected = np.full((6, 8, 3), 255, np.uint8)
    return Good(_gif((8, 6), [(0, 0, 8, 6)], clear=1), expected, "GIF", had_alpha=True)


@good("gif-whose-later-frames-are-cut-off")
def _() -> Good:
    data = _gif((8, 6), [(0, 0, 8, 6), (0, 0, 8, 6)])[:-8]
    expected = np.full((6, 8, 3), (200, 100, 50), np.uint8)
    return Good(data, expected, "GIF", frames=2, notes=("first-frame",))


# --- good: shapes -------------------------------------------------------------------------------


def _shape(name: str, width: int, height: int) -> None:
    @good(f"shape-{name}")
    def _() -> Good:
        rgb = scene(width, height)
        return Good(save(Image.fromarray(rgb), "PNG"), rgb, "PNG")


_shape("one-pixel", 1, 1)
_shape("one-pixel-tall", 300, 1)
_shape("one-pixel-wide", 1, 300)
_shape("30000-wide-one-tall", 30_000, 1)
_shape("one-wide-30000-tall", 1, 30_000)


@good("shape-30000-wide-jpeg")
def _() -> Good:
    rgb = np.full((3, 30_000, 3), (40, 60, 160), np.uint8)
    data = save(Image.fromarray(rgb), "JPEG", quality=100, subsampling=0)
    return Good(data, rgb, "JPEG", tolerance=3)


# --- bad: not pictures --------------------------------------------------------------------------


def _foreign(name: str, data: bytes, code: str = "image-foreign") -> None:
    @bad(name)
    def _() -> Bad:
        return Bad(data, code)


_SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>'

_foreign("empty", b"", "image-empty")
_foreign("one-byte", b"\x89", "image-unknown")
_foreign(
    "random-bytes",
    bytes(np.random.default_rng(0).integers(0, 256, 5000, np.uint8)),
    "image-unknown",
)
_foreign("zeros", bytes(5000), "image-unknown")
_foreign("text", "これは画像ではありません。\n".encode())
_foreign("text-shift-jis", "これは画像ではありません。\n".encode("cp932"))
_foreign("text-utf-16", "not a picture".encode("utf-16"))
_foreign("text-that-begins-like-a-bitmap", b"BMW is a maker of cars, not of bitmaps.")
_foreign("html", b"<!DOCTYPE html><html><body>404 Not Found</body></html>")
_foreign("svg", _SVG)
_foreign("svg-with-prologue", b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- made by hand -->\n' + _SVG)
_foreign("svg-compressed", gzip.compress(_SVG))
_foreign("pdf", b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n")
_foreign("postscript", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 1 1\n")
_foreign("photoshop", b"8BPS\0\x01" + bytes(20))
_foreign("clip-studio", b"CSFCHUNK" + bytes(40))
_foreign("gimp", b"gimp xcf v011\0")
_foreign("jpeg-xl", b"\xff\x0a\x00\x10")
_foreign("jpeg-xl-in-boxes", b"\x00\x00\x00\x0cJXL \r\n\x87\n")
_foreign("jpeg-2000", b"\x00\x00\x00\x0cjP  \r\n\x87\n")
_foreign("icon", b"\x00\x00\x01\x00\x01\x00" + bytes(40))
_foreign("netpbm", b"P6 2 1 255\n\x00\x00\x00\xff\xff\xff")
_foreign("mp4", b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2")
_foreign("webm", b"\x1a\x45\xdf\xa3" + bytes(40))
_foreign("avi", b"RIFF\x24\x00\x00\x00AVI LIST")
_foreign("mp3", b"ID3\x04" + bytes(40))
_foreign("zip", b"PK\x03\x04" + bytes(40))
_foreign("rar", b"Rar!\x1a\x07\x01\x00")
_foreign("heading-of-a-png-only", b"\x89PNG\r\n\x1a\n", "image-damaged")


# --- bad: damaged -------------------------------------------------------------------------------


def _cut(name: str, make: Callable[[], bytes], code: str = "image-truncated") -> None:
    @bad(f"truncated-{name}")
    def _() -> Bad:
        data = make()
        return Bad(data[: len(data) * 6 // 10], code)


def _noise(width: int = 64, height: int = 64) -> Image.Image:
    rng = np.random.default_rng(3)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


_cut("png", lambda: save(_noise(), "PNG"))
_cut("apng", lambda: save(_noise(), "PNG", save_all=True, append_images=[_noise()])[:20_000])
_cut("jpeg", lambda: save(_noise(), "JPEG"))
_cut("jpeg-progressive", lambda: save(_noise(), "JPEG", progressive=True))
_cut("jpeg-in-its-header", lambda: save(_noise(8, 8), "JPEG")[:300])
_cut("webp", lambda: save(_noise(), "WEBP"))
_cut("gif", lambda: save(_noise().quantize(64), "GIF"))
_cut("avif", lambda: save(_noise(), "AVIF"))
_cut("heic", lambda: heic(_noise()))
_cut("bmp", lambda: save(_noise(), "BMP"))
_cut("tiff", lambda: save(_noise(), "TIFF"))
_cut("tiff-lzw", lambda: save(_noise(), "TIFF", compression="tiff_lzw"))


@bad("png-damaged-in-the-middle")
def _() -> Bad:
    data = bytearray(save(_noise(), "PNG"))
    middle = len(data) // 2
    data[middle : middle + 200] = bytes(200)
    return Bad(bytes(data), "image-damaged")


@bad("png-of-no-pixels")
def _() -> Bad:
    return Bad(png(0, 0, 8, 2, b""), "image-damaged")


@bad("png-of-an-unknown-kind")
def _() -> Bad:
    return Bad(png(4, 4, 5, 2, bytes(48)), "image-damaged")


@bad("webp-damaged")
def _() -> Bad:
    data = bytearray(save(_noise(), "WEBP", lossless=True))
    data[30:200] = b"\xff" * 170
    return Bad(bytes(data), "image-damaged")


@bad("avif-damaged")
def _() -> Bad:
    data = bytearray(save(_noise(), "AVIF"))
    start = data.index(b"mdat")
    data[start + 4 : start + 30] = b"\xff" * 26
    return Bad(bytes(data), "image-damaged")


@bad("heic-damaged")
def _() -> Bad:
    data = heic(_noise())
    assert b"hvcC" in data
    return Bad(data.replace(b"hvcC", b"free"), "image-damaged")


@bad("tiff-of-an-unknown-compression")
def _() -> Bad:
    entries = tiff_entries(4, 3, (8, 8, 8), 2) | {259: (3, (34712,))}
    return Bad(tiff(entries, bytes(36)), "image-damaged")


@bad("jpeg-of-12-bits")
def _() -> Bad:
    data = bytearray(save(_noise(), "JPEG"))
    start = data.index(b"\xff\xc0")
    data[start + 4] = 12
    return Bad(bytes(data), "image-damaged")


@bad("jpeg-of-junk-after-its-first-mark")
def _() -> Bad:
    return Bad(b"\xff\xd8\xff" + bytes(100_000), "image-damaged")


# --- bad: too large -----------------------------------------------------------------------------


@bad("bomb-png")
def _() -> Bad:
    # A flat field of 40,000 × 40,000 pixels: 4.8 GB from 4.6 MB would be honest; this is shorter.
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 40_000, 40_000, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(bytes(1_000_000), 9))
    return Bad(b"\x89PNG\r\n\x1a\n" + head + body + chunk(b"IEND", b""), "image-too-many-pixels")


@bad("bomb-apng-that-clears-its-canvas")
def _() -> Bad:
    # Pillow alone would fill the canvas while it opens the file.
    size = struct.pack(">II", 60_000, 60_000)
    head = chunk(b"IHDR", size + struct.pack(">BBBBB", 8, 6, 0, 0, 0))
    control = chunk(b"fcTL", struct.pack(">I", 0) + size + struct.pack(">IIHHBB", 0, 0, 1, 1, 1, 0))
    data = head + chunk(b"acTL", struct.pack(">II", 2, 0)) + control
    data += chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    return Bad(b"\x89PNG\r\n\x1a\n" + data, "image-too-many-pixels")


@bad("bomb-jpeg")
def _() -> Bad:
    data = bytearray(save(_noise(), "JPEG"))
    start = data.index(b"\xff\xc0")
    data[start + 5 : start + 9] = struct.pack(">HH", 65_000, 65_000)
    return Bad(bytes(data), "image-too-many-pixels")


@bad("bomb-jpeg-of-a-thousand-passes")
def _() -> Bad:
    data = save(_noise(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return Bad(data[:-2] + data[last:-2] * 1000 + b"\xff\xd9", "image-damaged")


@bad("bomb-gif")
def _() -> Bad:
    return Bad(_gif((65_000, 65_000), [(0, 0, 2, 2)]), "image-too-many-pixels")


@bad("bomb-gif-in-its-frame")
def _() -> Bad:
    data = bytearray(_gif((8, 6), [(0, 0, 8, 6)]))
    start = data.index(b",", 25)
    data[start + 5 : start + 9] = struct.pack("<HH", 60_000, 60_000)
    return Bad(bytes(data), "image-too-many-pixels")


@bad("bomb-webp")
def _() -> Bad:
    # Two canvases of 16,384 × 16,384 would be allocated when the file is opened.
    inner = save(Image.new("RGB", (8, 8)), "WEBP", lossless=True)[12:]
    canvas = b"VP8X" + struct.pack("<IB3x", 10, 0) + (16_383).to_bytes(3, "little") * 2
    body = b"WEBP" + canvas + inner
    return Bad(b"RIFF" + struct.pack("<I", len(body)) + body, "image-too-many-pixels")


@bad("bomb-avif")
def _() -> Bad:
    return Bad(_avif_of(2048, 2048), "image-too-many-pixels", {"max_pixels": 1_000_000})


def _avif_of(width: int, height: int) -> bytes:
    return save(Image.new("RGB", (width, height), "red"), "AVIF", speed=10)


@bad("bomb-avif-that-claims-to-be-small")
def _() -> Bad:
    data = _avif_of(2048, 2048)
    claim = struct.pack(">4sIII", b"ispe", 0, 2048, 2048)
    assert claim in data
    small = data.replace(claim, struct.pack(">4sIII", b"ispe", 0, 64, 64))
    return Bad(small, "image-too-many-pixels", {"max_pixels": 1_000_000})


@bad("bomb-heic")
def _() -> Bad:
    data = heic(Image.new("RGB", (512, 512), "red"), quality=30, chroma=420)
    return Bad(data, "image-too-many-pixels", {"max_pixels": 200_000})


@bad("bomb-heic-that-claims-to-be-small")
def _() -> Bad:
    data = heic(Image.new("RGB", (512, 512), "red"), quality=30, chroma=420)
    claim = struct.pack(">4sIII", b"ispe", 0, 512, 512)
    assert claim in data
    return Bad(data.replace(claim, struct.pack(">4sIII", b"ispe", 0, 64, 64)), "image-damaged")


@bad("bomb-bmp")
def _() -> Bad:
    head = struct.pack("<IiiHHIIiiII", 40, 100_000, 100_000, 1, 24, 0, 0, 0, 0, 0, 0)
    return Bad(b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head, "image-too-many-pixels")


@bad("bomb-bmp-upside-down")
def _() -> Bad:
    head = struct.pack("<IiiHHIIiiII", 40, 60_000, -60_000, 1, 24, 0, 0, 0, 0, 0, 0)
    return Bad(b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head, "image-too-many-pixels")


@bad("bomb-tiff")
def _() -> Bad:
    entries = tiff_entries(60_000, 60_000, (8, 8, 8), 2) | {259: (3, (8,))}
    return Bad(tiff(entries, zlib.compress(bytes(100_000), 9)), "image-too-many-pixels")


@bad("bomb-tiff-uncompressed")
def _() -> Bad:
    return Bad(tiff(tiff_entries(60_000, 60_000, (8, 8, 8), 2), bytes(99)), "image-truncated")


@bad("bomb-tiff-in-its-tile")
def _() -> Bad:
    entries = tiff_entries(16, 16, (8, 8, 8), 2)
    del entries[278]
    tile = zlib.compress(bytes(100_000), 9)
    entries |= {259: (3, (8,)), 322: (4, (32_768,)), 323: (4, (32_768,))}
    entries |= {324: (4, (8,)), 325: (4, (len(tile),))}
    return Bad(_tiff_of_parts(entries, tile), "image-too-many-pixels")


@bad("bomb-tiff-of-overlapping-entries")
def _() -> Bad:
    # Entries that are needed, each claiming the whole file.
    filler = bytes(300_000)
    entries = {tag: (1, tuple(filler)) for tag in (320, 347, 532)}
    data = bytearray(_tiff_of_bytes(tiff_entries(4, 3, (8, 8, 8), 2), entries, filler))
    return Bad(bytes(data), "image-damaged")


def _tiff_of_bytes(numbers: Any, blobs: Any, body: bytes) -> bytes:
    table = b""
    for tag in sorted({**numbers, **blobs}):
        if tag in blobs:
            table += struct.pack("<HHII", tag, 1, len(body), 8)
        else:
            kind, values = numbers[tag]
            table += struct.pack("<HHIHH", tag, kind, 1, values[0], 0)
    count = struct.pack("<H", len(numbers) + len(blobs))
    return b"II*\0" + struct.pack("<I", 8 + len(body)) + body + count + table + bytes(4)


# Parts so many that to look at each of them would take a server's time: a minute and more for a
# file of the size that is allowed.


@bad("endless-png-chunks")
def _() -> Bad:
    data = png(4, 3, 8, 2, scene(4, 3).tobytes(), chunk(b"junk", b"") * 250_000)
    return Bad(data, "image-damaged")


@bad("endless-jpeg-segments")
def _() -> Bad:
    data = save(_noise(), "JPEG")
    return Bad(data[:2] + b"\xff\xe5\x00\x02" * 100_000 + data[2:], "image-damaged")


@bad("endless-jpeg-marks")
def _() -> Bad:
    data = save(_noise(), "JPEG")
    return Bad(data[:2] + b"\xff\xd0" * 100_000 + data[2:], "image-damaged")


@bad("endless-jpeg-marks-among-its-pixels")
def _() -> Bad:
    data = save(_noise(), "JPEG")
    return Bad(data[:-2] + b"\xff\x01" * 100_000 + data[-2:], "image-damaged")


@bad("endless-webp-chunks")
def _() -> Bad:
    inner = save(_noise(), "WEBP")[12:]
    body = b"WEBP" + b"junk\0\0\0\0" * 150_000 + inner
    return Bad(b"RIFF" + struct.pack("<I", len(body)) + body, "image-damaged")


@bad("endless-gif-blocks")
def _() -> Bad:
    data = _gif((8, 6), [(0, 0, 8, 6)])
    return Bad(data[:25] + b"!\xfe" + b"\x01x" * 1_200_000 + b"\0" + data[25:], "image-damaged")


@bad("endless-avif-boxes")
def _() -> Bad:
    data = _avif_of(16, 16)
    return Bad(data + struct.pack(">I4s", 8, b"free") * 150_000, "image-damaged")


@bad("endless-avif-extents")
def _() -> Bad:
    # Items of 65,535 parts each, which take no bytes to say.
    items = b"".join(struct.pack(">HHH", i, 0, 65_535) for i in range(1, 400))
    iloc = b"\0\0\0\0" + struct.pack(">HH", 0, 399) + items
    iinf = b"\0\0\0\0\0\0"
    boxes = struct.pack(">I4s", 8 + len(iloc), b"iloc") + iloc
    boxes += struct.pack(">I4s", 8 + len(iinf), b"iinf") + iinf
    meta = struct.pack(">I4sI", 12 + len(boxes), b"meta", 0) + boxes
    brands = b"\0\0\0\x18ftypavif\0\0\0\0avifmif1"
    return Bad(brands + meta, "image-damaged")


@bad("endless-bmp-run-lengths")
def _() -> Bad:
    small = bytearray(GOOD["bmp-palette-run-length"]().data)
    return Bad(bytes(small) + b"\x01\x01" * 2_200_000, "image-damaged")


@bad("too-many-bytes")
def _() -> Bad:
    return Bad(save(_noise(), "PNG"), "image-too-many-bytes", {"max_bytes": 5000})


@bad("too-long-a-side")
def _() -> Bad:
    data = save(Image.new("L", (3000, 2)), "PNG")
    return Bad(data, "image-side-too-long", {"max_side": 2000})


@bad("too-much-memory-webp")
def _() -> Bad:
    data = save(Image.new("RGB", (2000, 2000)), "WEBP", lossless=True, method=0)
    return Bad(data, "image-too-much-memory", {"max_memory": 32 * 2**20})


@bad("too-much-memory-heic")
def _() -> Bad:
    data = heic(Image.new("RGB", (512, 512), "red"))
    return Bad(data, "image-too-much-memory", {"max_memory": 2**20})


@bad("too-many-frames-gif")
def _() -> Bad:
    return Bad(_gif((2, 2), [(0, 0, 2, 2)] * 11), "image-too-many-frames", {"max_frames": 10})


@bad("too-many-frames-apng")
def _() -> Bad:
    control = chunk(b"acTL", struct.pack(">II", 2_000_000_000, 0))
    return Bad(png(4, 3, 8, 2, scene(4, 3).tobytes(), control), "image-too-many-frames")


@bad("too-many-frames-webp")
def _() -> Bad:
    pages = [Image.new("RGB", (8, 8), (i, 0, 0)) for i in range(0, 250, 20)]
    data = save(pages[0], "WEBP", save_all=True, append_images=pages[1:], lossless=True)
    return Bad(data, "image-too-many-frames", {"max_frames": 10})


@bad("too-many-frames-avif")
def _() -> Bad:
    pages = [Image.new("RGB", (16, 16), (i, 0, 0)) for i in range(0, 250, 20)]
    data = save(pages[0], "AVIF", save_all=True, append_images=pages[1:])
    return Bad(data, "image-too-many-frames", {"max_frames": 10})


@bad("too-many-frames-tiff")
def _() -> Bad:
    pages = [Image.new("L", (8, 8))] * 12
    data = save(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    return Bad(data, "image-too-many-frames", {"max_frames": 10})


# --- for fuzzing --------------------------------------------------------------------------------


def seeds() -> dict[str, bytes]:
    """Small sound files, one for each way through a decoder."""
    image, page = _noise(24, 16), Image.new("RGB", (24, 16), "red")
    alpha = Image.fromarray(np.dstack([scene(), opacity()]))
    moving: dict[str, Any] = {"save_all": True, "append_images": [page, image]}
    photograph = {"exif": exif(6), "icc_profile": wide_profile()}
    return {
        "png": save(alpha, "PNG", **photograph),
        "png-palette": save(image.quantize(16), "PNG", transparency=b"\x00\x80"),
        "apng": save(image, "PNG", **moving),
        "jpeg": save(image, "JPEG", **photograph),
        "jpeg-progressive": save(image, "JPEG", progressive=True),
        "jpeg-cmyk": save(image.convert("CMYK"), "JPEG"),
        "webp": save(alpha, "WEBP", **photograph),
        "webp-lossless": save(alpha, "WEBP", lossless=True),
        "webp-animated": save(image, "WEBP", **moving),
        "gif": save(image, "GIF", save_all=True, append_images=[page], transparency=0),
        "avif": save(alpha, "AVIF", exif=exif(6)[6:], icc_profile=wide_profile()),
        "avif-animated": save(image, "AVIF", **moving),
        "heic": heic(alpha),
        "bmp": save(image, "BMP"),
        "bmp-run-length": GOOD["bmp-palette-run-length"]().data,
        "tiff": save(image, "TIFF", tiffinfo={0x0112: 6}),
        "tiff-lzw": save(alpha, "TIFF", compression="tiff_lzw", **moving),
        "tiff-jpeg": save(image, "TIFF", compression="jpeg"),
        "tiff-16-bits": GOOD["mode-I;16-tiff"]().data,
    }


def mutations(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Damage a file in `count` ways, the same for the same seed."""
    rng = np.random.default_rng(seed)
    telling = [
        b"\0",
        b"\xff",
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff",
        b"\0\0\0\0",
        b"\0\0\xff\xff",
    ]
    for _ in range(count):
        changed = bytearray(data)
        for _ in range(int(rng.integers(1, 5))):
            # Headers are short and hold the most: half of the damage goes there.
            reach = len(changed) if rng.random() < 0.5 else min(len(changed), 200)
            at = int(rng.integers(0, max(1, reach)))
            length = int(rng.integers(1, 17))
            match int(rng.integers(0, 6)):
                case 0:
                    changed[at : at + 1] = bytes((int(rng.integers(0, 256)),))
                case 1:
                    value = telling[int(rng.integers(0, len(telling)))]
                    changed[at : at + len(value)] = value
                case 2:
                    del changed[at : at + length]
                case 3:
                    changed[at:at] = changed[at : at + length]
                case 4:
                    changed[at : at + length] = rng.bytes(length)
                case _:
                    if rng.random() < 0.3:
                        del changed[at:]
        yield bytes(changed)
