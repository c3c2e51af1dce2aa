"""A training leaves its process as it has found it."""

from __future__ import annotations

import logging

import pytest
import torch

from tagger.training.process import flushes_denormals, left_as_found

TINY = torch.finfo(torch.float32).tiny


def test_numbers_threads_and_handlers_are_given_back_whatever_happens() -> None:
    root = logging.getLogger()
    handlers, level, threads = list(root.handlers), root.level, torch.get_num_threads()
    with pytest.raises(ZeroDivisionError), left_as_found():
        torch.set_flush_denormal(True)
        assert flushes_denormals()
        assert (torch.tensor([TINY]) / 2).item() == 0
        torch.set_num_threads(threads + 1)
        root.handlers[:] = [logging.NullHandler()]
        root.setLevel(level + 1)
        _ = 1 / 0
    assert not flushes_denormals()
    assert (torch.tensor([TINY]) / 2).item() > 0
    assert torch.get_num_threads() == threads
    assert (root.handlers, root.level) == (handlers, level)


def test_within_one_that_goes_on_the_numbers_stay_as_they_are() -> None:
    with left_as_found():
        torch.set_flush_denormal(True)
        with left_as_found():
            torch.set_flush_denormal(False)
        assert flushes_denormals()
    assert not flushes_denormals()


def test_kedro_gives_the_log_back() -> None:
    root = logging.getLogger()
    kept = list(root.handlers)
    with left_as_found():
        from kedro.framework.project import LOGGING

        LOGGING.configure(dict(LOGGING))  # as its first import does
        assert root.handlers != kept
    assert root.handlers == kept
