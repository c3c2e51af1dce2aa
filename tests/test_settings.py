"""Settings: what variables do, and that wrong ones are named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from tagger.errors import LimitError, SettingsError
from tagger.images import ImageLimits, read
from tagger.settings import Settings, load_settings, program_environment, unknown_variables
from tests import pictures


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("TAGGER_", "GRADIO_")):
            monkeypatch.delenv(name)


def test_defaults_are_safe() -> None:
    settings = load_settings()
    assert settings.host == "127.0.0.1"
    assert settings.port == 7860
    assert settings.max_bytes == 20 * 2**20
    assert settings.max_files == 32
    assert settings.language == "auto"
    assert settings.root_path == ""
    assert settings.image_limits == ImageLimits()


def test_default_bundle_lies_in_the_project() -> None:
    bundle = Path(load_settings().bundle)
    assert bundle.parts[-2:] == ("exported", "illustration")
    assert bundle.is_absolute()


def test_default_threads_are_the_usable_cpus() -> None:
    expected = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    assert load_settings().threads == expected


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("TAGGER_BUNDLE", "hf:owner/name@abc", "bundle", "hf:owner/name@abc"),
        ("TAGGER_HOST", "0.0.0.0", "host", "0.0.0.0"),
        ("TAGGER_PORT", "8080", "port", 8080),
        ("TAGGER_ROOT_PATH", "/tagger/", "root_path", "/tagger"),
        ("TAGGER_THREADS", "3", "threads", 3),
        ("TAGGER_CONCURRENCY", "4", "concurrency", 4),
        ("TAGGER_QUEUE_SIZE", "10", "queue_size", 10),
        ("TAGGER_MAX_BYTES", "1000", "max_bytes", 1000),
        ("TAGGER_MAX_BYTES", "5MiB", "max_bytes", 5 * 2**20),
        ("TAGGER_MAX_BYTES", "5 MB", "max_bytes", 5_000_000),
        ("TAGGER_MAX_PIXELS", "12000000", "max_pixels", 12_000_000),
        ("TAGGER_MAX_PIXELS", "12_000_000", "max_pixels", 12_000_000),
        ("TAGGER_MAX_PIXELS", "12e6", "max_pixels", 12_000_000),
        ("TAGGER_MAX_SIDE", "4096", "max_side", 4096),
        ("TAGGER_MAX_FRAMES", "1", "max_frames", 1),
        ("TAGGER_MAX_MEMORY", "1GiB", "max_memory", 2**30),
        ("TAGGER_MAX_FILES", "5", "max_files", 5),
        ("TAGGER_DATA_DIR", "/data", "data_dir", Path("/data")),
        ("TAGGER_TRAINING_DATA", "/drawings", "training_data", "/drawings"),
        ("TAGGER_PROXIES", "2", "proxies", 2),
        ("TAGGER_LANGUAGE", "JA", "language", "ja"),
        ("TAGGER_LOG_LEVEL", "DEBUG", "log_level", "debug"),
        ("GRADIO_SERVER_NAME", "0.0.0.0", "host", "0.0.0.0"),
        ("GRADIO_SERVER_PORT", "9000", "port", 9000),
        ("GRADIO_ROOT_PATH", "/space", "root_path", "/space"),
    ],
)
def test_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, text: str, field: str, value: object
) -> None:
    monkeypatch.setenv(variable, text)
    assert getattr(load_settings(), field) == value


def test_every_field_has_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """No field is bound to a variable of another name, so that the README's table is the rule."""
    for name in Settings.model_fields:
        monkeypatch.setenv(f"TAGGER_{name.upper()}", "")  # empty means not set
    assert load_settings().image_limits == ImageLimits()
    assert unknown_variables() == []


def test_our_variables_win_over_those_of_gradio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_SERVER_PORT", "9000")
    monkeypatch.setenv("TAGGER_PORT", "8000")
    assert load_settings().port == 8000


def test_options_win_over_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAGGER_PORT", "8000")
    assert load_settings(port=7000).port == 7000
    assert load_settings(port=None).port == 8000


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("TAGGER_PORT", "99999"),
        ("TAGGER_PORT", "http"),
        ("TAGGER_PORT", "-1"),
        ("TAGGER_PROXIES", "-1"),
        ("TAGGER_PROXIES", "all"),
        ("TAGGER_ROOT_PATH", "tagger"),
        ("TAGGER_THREADS", "0"),
        ("TAGGER_THREADS", "2.5"),
        ("TAGGER_CONCURRENCY", "0"),
        ("TAGGER_QUEUE_SIZE", "0"),
        ("TAGGER_MAX_BYTES", "0"),
        ("TAGGER_MAX_BYTES", "many"),
        ("TAGGER_MAX_PIXELS", "1000000000000"),
        ("TAGGER_MAX_PIXELS", "inf"),
        ("TAGGER_MAX_PIXELS", "nan"),
        ("TAGGER_MAX_PIXELS", "0.5"),
        ("TAGGER_MAX_SIDE", "0"),
        ("TAGGER_MAX_FRAMES", "-3"),
        ("TAGGER_MAX_MEMORY", "0"),
        ("TAGGER_MAX_FILES", "0"),
        ("TAGGER_LANGUAGE", "fr"),
        ("TAGGER_LOG_LEVEL", "loud"),
    ],
)
def test_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, text: str) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert f"{variable}={text!r}" in str(caught.value)
    assert variable in caught.value.message("ja")


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAGGER_PORT", "x")
    monkeypatch.setenv("TAGGER_MAX_FILES", "y")
    with pytest.raises(SettingsError, match=r"TAGGER_PORT.*TAGGER_MAX_FILES"):
        load_settings()


def test_wrong_option_is_named() -> None:
    with pytest.raises(SettingsError, match="TAGGER_PORT"):
        load_settings(port="x")


def test_a_long_wrong_value_is_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAGGER_PORT", "x" * 10_000)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert len(str(caught.value)) < 300


def test_misspelt_variables_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAGGER_MAX_BITES", "1")
    monkeypatch.setenv("TAGGER_PORT", "1")
    assert unknown_variables() == ["TAGGER_MAX_BITES"]


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        load_settings().port = 1


def test_limits_reach_the_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    data = pictures.GOOD["png"]().data
    monkeypatch.setenv("TAGGER_MAX_PIXELS", "383")  # the picture has 24 × 16
    with pytest.raises(LimitError, match="24 × 16"):
        read(data, limits=load_settings().image_limits)
    monkeypatch.setenv("TAGGER_MAX_PIXELS", "384")
    assert read(data, limits=load_settings().image_limits).width == 24


def test_drawings_are_kept_in_the_data_folder_unless_elsewhere(tmp_path: Path) -> None:
    file = tmp_path.resolve() / "collection.sqlite3"
    assert load_settings(data_dir=tmp_path).database_url == f"sqlite:///{file}"
    url = "postgresql://me:pa55word@db/drawings"
    assert load_settings(data_dir=tmp_path, database=url).database_url == url


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAGGER_DATABASE", "postgresql://me:pa55word@db/drawings")
    monkeypatch.setenv("TAGGER_HUB_TOKEN", "hf_pa55word")
    monkeypatch.setenv("TAGGER_HUB_DATASET", "owner/name")
    settings = load_settings()
    assert settings.hub_token.get_secret_value() == "hf_pa55word"
    assert settings.hub_dataset == "owner/name"
    assert "pa55word" not in f"{settings!r}{settings}{settings.model_dump_json()}"
    monkeypatch.setenv("TAGGER_HUB_DATASET", "no/such/form")
    with pytest.raises(SettingsError, match="TAGGER_HUB_DATASET") as caught:
        load_settings()
    assert "pa55word" not in str(caught.value)


def test_a_program_that_we_start_gets_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE", "HUB_TOKEN", "OWNER_TOKEN"):
        monkeypatch.setenv(f"TAGGER_{name}", "pa55word")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("TAGGER_THREADS", "3")
    given = program_environment(Path("/here"))
    assert "pa55word" not in str(given)
    assert given["PYTHONPATH"] == f"/here{os.pathsep}/elsewhere"
    assert given["TAGGER_THREADS"] == "3" and given["PATH"] == os.environ["PATH"]
    monkeypatch.delenv("PYTHONPATH")
    assert program_environment(Path("/here"))["PYTHONPATH"] == "/here"
