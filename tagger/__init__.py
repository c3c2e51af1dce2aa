"""Tag illustrations with models trained in this project."""

__version__ = "0.1.0"
