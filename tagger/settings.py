"""Typed settings from ``TAGGER_*`` environment variables.

The only module that reads the environment. Every door is built from one `Settings` object, so that
a limit holds alike for the page, the API and the command line.
"""

from __future__ import annotations

import hmac
import os
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    BeforeValidator,
    ByteSize,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from tagger.errors import SettingsError
from tagger.limits import PIXEL_CEILING, ImageLimits

PREFIX = "TAGGER_"

_ROOT = Path(__file__).resolve().parent.parent
_DEFAULTS = ImageLimits()

DEFAULT_SKETCH_BUNDLE = str(_ROOT / "exported" / "sketch")
DEFAULT_GALLERY = str(_ROOT / "exported" / "gallery")
DEFAULT_RANKER = str(_ROOT / "exported" / "preference")


def _whole_number(value: Any) -> Any:
    """Let people write ``64e6`` and ``64_000_000`` for sixty-four million."""
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return value
        if number.is_integer():
            return int(number)
    return value


Count = Annotated[int, BeforeValidator(_whole_number)]


def _usable_cpus() -> int:
    """Count the CPUs that this process may use, which in a container are fewer than the host's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Settings(BaseSettings):
    """What can be set, with safe defaults.

    Each field is read from the variable of its name in capitals after ``TAGGER_``, for example
    ``TAGGER_MAX_PIXELS``. Sizes in bytes take units (``20MiB``), counts take exponents (``64e6``).
    Use `load_settings`, which turns wrong values into one clear `SettingsError`.

    Attributes
    ----------
    bundle : str
        Model to serve: a folder, or ``hf:owner/name@revision``.
    sketch_bundle : str
        Recogniser of drawings, a folder or ``hf:owner/name@revision``. Where the default folder is
        not there, drawings are not recognised; ``none`` turns them off.
    gallery : str
        Folder of the gallery to explore. Where the default folder is not there, there is nothing
        to explore; ``none`` turns it off.
    ranker : str
        File or folder (``ranker.json`` in it) of what scores pictures for whoever has no taste of
        their own. Where the default folder is not there, nothing does; ``none`` turns it off.
    search : {"auto", "exact", "hnsw"}
        How neighbours are found: exactly; by a graph, which needs usearch; or exactly up to
        100,000 pictures and by the graph above, where usearch is installed.
    host, port
        Where to listen. Gradio's own variables ``GRADIO_SERVER_NAME`` and ``GRADIO_SERVER_PORT``,
        which a Space sets, are read where ours are absent.
    root_path : str
        Path under which a reverse proxy serves the app, such as ``/tagger``; empty for none.
    threads : int
        CPU threads of the model.
    concurrency : int
        Pictures that are read and tagged at the same time, over all doors.
    queue_size : int
        Requests of the page that may wait; more are told to come back.
    max_bytes, max_pixels, max_side, max_frames, max_memory
        See `tagger.limits.ImageLimits`.
    max_files : int
        Files in one request of the API, or one selection on the page.
    data_dir : Path
        Folder for what the app writes.
    training_data : str
        Folder with the drawings of the first training (``sketches.parquet``), some of which are
        repeated when the recogniser is trained on collected ones; empty for no training.
    proxies : int
        How many reverse proxies of yours a request passes through, each of which adds the address
        that it sees to ``X-Forwarded-For``: 1 behind nginx, Caddy or on a Space. 0 believes no
        such header, since whoever sends a request can write one.
    database : secret str
        Where drawings and votes are collected: ``sqlite:///FILE`` or
        ``postgresql://USER:PASSWORD@HOST/NAME``; empty for a file in `data_dir`.
    hub_dataset : str
        Dataset repository on the Hugging Face Hub, ``owner/name``, to which drawings and votes
        given with consent are pushed; empty for none.
    hub_token : secret str
        A token that may write there; empty for no pushes.
    owner_token : secret str
        Who sends it may accept words for all and export what was given with consent; empty: nobody.
    live_rate : float
        Drawings that one visitor may have recognised in a second, for any length of time.
    language : {"auto", "en", "ja"}
        Language of the page; ``"auto"`` follows the browser.
    log_level : str
        As in `logging`.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, populate_by_name=True, env_ignore_empty=True
    )

    bundle: str = str(_ROOT / "exported" / "illustration")
    sketch_bundle: str = DEFAULT_SKETCH_BUNDLE
    gallery: str = DEFAULT_GALLERY
    ranker: str = DEFAULT_RANKER
    search: Literal["auto", "exact", "hnsw"] = "auto"
    host: str = Field(
        default="127.0.0.1",
        validation_alias=AliasChoices("TAGGER_HOST", "GRADIO_SERVER_NAME"),
        min_length=1,
    )
    port: int = Field(
        default=7860,
        ge=0,
        le=65_535,
        validation_alias=AliasChoices("TAGGER_PORT", "GRADIO_SERVER_PORT"),
    )
    root_path: str = Field(
        default="", validation_alias=AliasChoices("TAGGER_ROOT_PATH", "GRADIO_ROOT_PATH")
    )
    threads: int = Field(default_factory=_usable_cpus, ge=1, le=1024)
    concurrency: int = Field(default=2, ge=1, le=256)
    queue_size: int = Field(default=64, ge=1)

    max_bytes: ByteSize = Field(default=ByteSize(_DEFAULTS.max_bytes), ge=1, le=2**31 - 1)
    max_pixels: Count = Field(default=_DEFAULTS.max_pixels, ge=1, le=PIXEL_CEILING)
    max_side: Count = Field(default=_DEFAULTS.max_side, ge=1)
    max_frames: Count = Field(default=_DEFAULTS.max_frames, ge=1)
    max_memory: ByteSize = Field(default=ByteSize(_DEFAULTS.max_memory), ge=1)
    max_files: int = Field(default=32, ge=1, le=10_000)

    data_dir: Path = _ROOT / "data"
    training_data: str = ""
    proxies: int = Field(default=0, ge=0, le=16)
    # Secret: the URL may hold a password.
    database: SecretStr = SecretStr("")
    hub_dataset: str = Field(default="", pattern=r"^$|^[\w.-]+/[\w.-]+$")
    hub_token: SecretStr = SecretStr("")
    owner_token: SecretStr = SecretStr("")
    live_rate: float = Field(default=40.0, gt=0, le=1000)
    language: Literal["auto", "en", "ja"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("language", "log_level", "search", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("root_path")
    @classmethod
    def _slash(cls, value: str) -> str:
        value = value.rstrip("/")
        if value and not value.startswith("/"):
            raise ValueError("must start with a slash")
        return value

    @property
    def database_url(self) -> str:
        """Where drawings are collected, as `tagger.collection.Store.open` takes it."""
        file = self.data_dir.expanduser().resolve() / "collection.sqlite3"
        return self.database.get_secret_value() or f"sqlite:///{file}"

    def is_owner(self, token: str) -> bool:
        """Whether this is the owner's token; False for all if none is set."""
        wanted = self.owner_token.get_secret_value()
        # Takes as long whatever is wrong.
        same = hmac.compare_digest(token.encode("utf-8", "replace"), wanted.encode())
        return same and bool(wanted)

    @property
    def image_limits(self) -> ImageLimits:
        """The limits on pictures, as `tagger.images.read` takes them."""
        return ImageLimits(
            max_bytes=int(self.max_bytes),
            max_pixels=self.max_pixels,
            max_side=self.max_side,
            max_frames=self.max_frames,
            max_memory=int(self.max_memory),
        )


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from the environment; keyword arguments win over it.

    Parameters
    ----------
    **overrides
        Fields of `Settings`; those that are None are taken as not given, as a command line's
        absent options are.

    Raises
    ------
    SettingsError
        ``settings-invalid``, with every wrong variable, its value and what it should be.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problems = "; ".join(_describe(problem) for problem in error.errors())
        raise SettingsError("settings-invalid", problems=problems) from error


def unknown_variables() -> list[str]:
    """Name the variables that start with ``TAGGER_`` but set nothing: most are misspelt."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def program_environment(package_folder: Path) -> dict[str, str]:
    """The environment of a program that we start: ours without our secrets.

    Parameters
    ----------
    package_folder : Path
        Where this package lies, so that the program finds it wherever it runs.
    """
    secret = {PREFIX + name for name in ("DATABASE", "HUB_TOKEN", "OWNER_TOKEN")}
    environment = {name: value for name, value in os.environ.items() if name not in secret}
    paths = [str(package_folder), *filter(None, [environment.get("PYTHONPATH")])]
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}


def _describe(problem: Any) -> str:
    name = str(problem["loc"][0]) if problem["loc"] else "settings"
    if name in Settings.model_fields:
        name = PREFIX + name.upper()
    reason = problem["msg"].removeprefix("Value error, ")
    return f"{name}={str(problem['input'])[:60]!r}: {reason[:1].lower()}{reason[1:]}"
