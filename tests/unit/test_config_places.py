"""Where the configuration is looked for, and what cannot be read there."""

from __future__ import annotations

import pytest

import stagelight
from stagelight._config import Settings, load


def test_a_folder_that_is_gone(tmp_path, monkeypatch):
    """A program may run in a folder that somebody has removed."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert load(environment={}) == Settings()


@pytest.mark.parametrize("name", ["stagelight.toml", "pyproject.toml"])
def test_what_is_no_file_is_passed_over(tmp_path, name):
    """The search goes on above it."""
    (tmp_path / "stagelight.toml").write_text('pipeline = "above"\n')
    inner = tmp_path / "inner"
    (inner / name).mkdir(parents=True)
    assert load(inner, {}).pipeline == "above"


def test_a_table_that_is_none(tmp_path):
    """A value where the table should be is an error that names the place."""
    (tmp_path / "pyproject.toml").write_text('[tool]\nstagelight = "on"\n')
    with pytest.raises(stagelight.ConfigurationError, match=r"tool\.stagelight: 'on'"):
        load(tmp_path, {})
