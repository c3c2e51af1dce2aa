"""Kedro's settings of this project (https://docs.kedro.org, "Settings")."""

from kedro.config import OmegaConfigLoader

CONFIG_LOADER_CLASS = OmegaConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "base",
    # An environment, or the command line, changes single values and keeps the others.
    "merge_strategy": {"parameters": "soft"},
}
# Hooks of packages that happen to be installed (telemetry among them) are none of ours.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-telemetry",)
