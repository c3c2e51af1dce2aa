"""What all kinds of model bundles have in common: files that may come from strangers.

Everything is read with a bound and checked; what is missing, torn or too large ends in a
`BundleError` that says what to do.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from tagger.errors import BundleError
from tagger.onnxfile import OnnxFormatError, OnnxHeader, TensorInfo, read_header

if TYPE_CHECKING:
    import onnxruntime

FORMAT_VERSION = 1

MODEL_FILE = "model.onnx"
CONFIG_FILE = "config.json"
METRICS_FILE = "metrics.json"

MAX_TEXT_BYTES = 64 * 1024 * 1024


class FrozenModel(BaseModel):
    """A part of ``config.json``; what it does not know it passes over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class OutputSpec(FrozenModel):
    """Name, shape in words (``["N", 500]``) and meaning of an output."""

    name: str
    shape: tuple[int | str | None, ...] = ()
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Which model answered. ``hash`` identifies its weights and its list of names."""

    name: str
    version: str
    hash: str

    def to_dict(self) -> dict[str, str]:
        """JSON-ready form."""
        return {"name": self.name, "version": self.version, "hash": self.hash}


# --- files --------------------------------------------------------------------------------------


def hash_files(folder: Path, names: Sequence[str]) -> str:
    """First 16 hexadecimal digits of the SHA-256 over files, one after the other."""
    digest = hashlib.sha256()
    for name in names:
        with (folder / name).open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()[:16]


def read_model_header(path: Path) -> OnnxHeader:
    """Read what an ONNX file declares, and refuse one that is no whole model by itself.

    Raises
    ------
    BundleError
        ``model-is-pointer``, ``model-unreadable`` or ``model-external-data``.
    """
    with path.open("rb") as file:
        if file.read(40).startswith(b"version https://git-lfs"):
            raise BundleError("model-is-pointer", file=path.name)
    try:
        header = read_header(path)
    except OnnxFormatError as error:
        raise BundleError("model-unreadable", file=path.name) from error
    if header.external_files:
        # The hash would not cover them, and a name may lead anywhere on this machine.
        raise BundleError("model-external-data", file=path.name)
    return header


def mismatch(reason: str) -> BundleError:
    """The files of a bundle do not fit together."""
    return BundleError("bundle-mismatch", reason=reason)


def optional_output(outputs: Mapping[str, TensorInfo], name: str, rank: int) -> str | None:
    """The name, if there is such an output with so many axes."""
    return name if name in outputs and len(outputs[name].shape) == rank else None


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    """Open a model on the CPU.

    Parameters
    ----------
    path : Path
        The ONNX file.
    threads : int
        Threads within one operator.

    Raises
    ------
    BundleError
        If ONNX Runtime does not take the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = max(1, threads)
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    # Waiting threads sleep: on two cores, spinning ones take time from the web server.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common public base
        raise BundleError("model-unreadable", file=path.name) from error


def read_text(path: Path) -> str:
    """Read a UTF-8 file of bounded size."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TEXT_BYTES + 1)
        if len(data) > MAX_TEXT_BYTES:
            raise BundleError("bundle-file-invalid", file=path.name, reason="too large")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise BundleError("bundle-file-missing", file=path.name) from error
    except UnicodeDecodeError as error:
        raise BundleError("bundle-file-invalid", file=path.name, reason="not UTF-8") from error


def read_json(path: Path) -> Any:
    """Read a JSON file; what JSON has no word for (NaN) becomes None."""
    try:
        return json.loads(read_text(path), parse_constant=lambda _: None)
    except (ValueError, RecursionError) as error:
        raise BundleError("bundle-file-invalid", file=path.name, reason="not JSON") from error


def read_object(path: Path, missing: dict[str, Any] | None = None) -> dict[str, Any]:
    """Read a JSON object; `missing` is for a file that is not there."""
    if missing is not None and not path.is_file():
        return missing
    data = read_json(path)
    if not isinstance(data, dict):
        raise BundleError("bundle-file-invalid", file=path.name, reason="not an object")
    return data


def read_arrays(data: bytes, names: Sequence[str], limit: int) -> dict[str, npt.NDArray[Any]]:
    """Read arrays of an ``.npz`` from a stranger: no objects, nothing that unfolds beyond `limit`.

    Raises
    ------
    ValueError, KeyError
        If it is torn, lacks one of them, or unfolds to too much.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            sizes = {info.filename: info.file_size for info in archive.infolist()}
        if sum(sizes.get(f"{name}.npy", 0) for name in names) > limit:
            raise ValueError("too large")
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
        MemoryError,
    ) as error:
        raise ValueError("torn") from error


# --- the Hub ------------------------------------------------------------------------------------

_HUB_REF = re.compile(
    r"hf:(?P<repository>[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})(?:@(?P<revision>[\w./-]{1,200}))?",
    re.ASCII,
)


def parse_hub_ref(ref: str) -> tuple[str, str | None]:
    """Split ``hf:owner/name@revision`` into ``owner/name`` and revision (None if not given).

    Raises
    ------
    BundleError
        If it is not of that form.
    """
    match = _HUB_REF.fullmatch(ref)
    if match is None:
        raise BundleError("bundle-bad-reference")
    return match["repository"], match["revision"]


def locate(
    ref: str | Path,
    files: Sequence[str],
    download: Callable[[str, str | None], Path] | None = None,
) -> tuple[Path, str, str]:
    """Find a bundle: its folder, and a name and a version for one that does not tell its own.

    Parameters
    ----------
    ref : str or Path
        A folder, or ``hf:owner/name@revision`` on the Hugging Face Hub.
    files : sequence of str
        What is fetched from the Hub.
    download : callable, optional
        Fetches ``(owner/name, revision)`` into a folder; by default from the Hub.

    Raises
    ------
    BundleError
        If there is none.
    """
    if isinstance(ref, str) and ref.startswith("hf:"):
        repository, revision = parse_hub_ref(ref)
        if download is None:
            folder = download_from_hub(repository, revision, files)
        else:
            folder = download(repository, revision)
        # Without a revision the Hub's cache names the folder by the commit that it holds.
        return folder, repository, revision or folder.resolve().name
    folder = Path(ref).expanduser()
    if not folder.is_dir():
        raise BundleError("bundle-not-found", name=str(ref))
    return folder, folder.resolve().name or "model", ""


def download_from_hub(repository: str, revision: str | None, files: Sequence[str]) -> Path:
    """Fetch a bundle's files from the Hugging Face Hub, or take them from its local cache.

    Raises
    ------
    BundleError
        If the Hub cannot be reached and the files are not in the cache, or they do not exist.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise BundleError("hub-not-installed") from error
    try:
        return Path(
            snapshot_download(
                repository, revision=revision, allow_patterns=list(files), tqdm_class=None
            )
        )
    except Exception as error:  # network, proxy, permission: its errors are many and change
        raise BundleError("bundle-download-failed", name=repository) from error
