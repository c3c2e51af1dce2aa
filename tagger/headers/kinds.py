"""Kinds of files by their first bytes: pictures that are read, and what is taken for pictures."""

from __future__ import annotations

import codecs
import re

# (offset, bytes, kind); the first match counts. Upper case: read here. Lower case: only named.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"GIF87a", "GIF"),
    (0, b"GIF89a", "GIF"),
    (0, b"II\x2a\x00", "TIFF"),
    (0, b"MM\x00\x2a", "TIFF"),
    (0, b"II\x2b\x00", "TIFF"),
    (0, b"MM\x00\x2b", "TIFF"),
    (0, b"8BPS", "psd"),
    (0, b"CSFCHUNK", "clip"),
    (0, b"gimp xcf", "xcf"),
    (0, b"\xff\x0a", "jxl"),
    (0, b"\x00\x00\x00\x0cJXL ", "jxl"),
    (0, b"\x00\x00\x00\x0cjP  ", "jp2"),
    (0, b"\xff\x4f\xff\x51", "jp2"),
    (0, b"\x00\x00\x01\x00", "ico"),
    (0, b"\x00\x00\x02\x00", "ico"),
    (0, b"v/1\x01", "exr"),
    (0, b"qoif", "qoi"),
    (0, b"DDS ", "dds"),
    (0, b"%!PS", "postscript"),
    (0, b"\xc5\xd0\xd3\xc6", "postscript"),
    (0, b"\x1a\x45\xdf\xa3", "video"),
    (0, b"FLV\x01", "video"),
    (0, b"\x00\x00\x01\xba", "video"),
    (0, b"\x00\x00\x01\xb3", "video"),
    (0, b"ID3", "audio"),
    (0, b"OggS", "audio"),
    (0, b"fLaC", "audio"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"Rar!\x1a\x07", "archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "archive"),
    (0, b"\x1f\x8b", "archive"),
    (0, b"BZh", "archive"),
    (0, b"\xfd7zXZ\x00", "archive"),
    (0, b"\x28\xb5\x2f\xfd", "archive"),
)
_RIFF = {b"WEBP": "WEBP", b"AVI ": "video", b"WAVE": "audio"}
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs"}
_HEIF_BRANDS = {b"mif1", b"msf1", b"mif2"}
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}
_NETPBM = re.compile(rb"P[1-7Ff]\s")


def identify(data: bytes) -> str:
    """Name the kind of a file: a format in capitals, a key of `tagger.messages.KINDS` otherwise.

    Names and suffixes play no part: people rename files, and sites serve WebP as ``.jpg``.
    """
    for offset, magic, kind in _MAGIC:
        if data.startswith(magic, offset):
            return kind
    if data.startswith(b"RIFF"):
        return _RIFF.get(data[8:12], "unknown")
    if data[4:8] == b"ftyp":
        return _by_brand(data)
    # Two letters are too few to tell a bitmap from a sentence.
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    if _NETPBM.match(data):
        return "netpbm"
    if b"%PDF-" in data[:1024]:
        return "pdf"
    return _by_text(data[:4096])


def _by_brand(data: bytes) -> str:
    size = min(int.from_bytes(data[:4], "big"), 256)
    major = data[8:12]
    brands = {data[i : i + 4] for i in range(16, size - 3, 4)}
    for brand in (major, *brands):
        if brand in _AVIF_BRANDS:
            return "AVIF"
        if brand in _HEIC_BRANDS:
            return "HEIC"
    if major in _HEIF_BRANDS:
        return "HEIC"
    if major.startswith(b"M4A"):
        return "audio"
    return "unknown" if major == b"crx " else "video"


def _by_text(head: bytes) -> str:
    text = _decode(head)
    if text is None:
        return "unknown"
    start = text.lstrip("\ufeff \t\r\n").lower()
    if start.startswith("<"):
        if "<svg" in start:
            return "svg"
        if "<html" in start or start.startswith("<!doctype html"):
            return "html"
    return "text" if text.strip() else "unknown"


def _decode(head: bytes) -> str | None:
    """Decode the beginning of a text, or return None for what is no text."""
    for encoding, bom in (("utf-16", codecs.BOM_UTF16_LE), ("utf-16", codecs.BOM_UTF16_BE)):
        if head.startswith(bom):
            return head.decode(encoding, "replace")
    if any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head):
        return None
    for cut in range(4):  # the last character may be cut
        try:
            return head[: len(head) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
    try:
        return head[: len(head) // 2 * 2].decode("cp932")
    except UnicodeDecodeError:
        return None
