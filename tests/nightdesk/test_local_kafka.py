"""Kafka's data is in the home, whatever the home's name and the locale."""

from __future__ import annotations

from pathlib import Path

import pytest

from nightdesk.local.artifacts import Cache
from nightdesk.local.kafka import KafkaPorts, kafka_part
from nightdesk.local.progress import Silent
from nightdesk.settings import load_settings


@pytest.mark.parametrize("name", ["Jürgen", "我的", "a b", "back\\slash", "émoji 👩"])
def test_the_data_is_in_the_home(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    home = tmp_path / name
    cache = (load_settings().local.cache or Path(".nightdesk") / "cache").resolve()
    kafka_part(home, KafkaPorts(19992, 19993), Cache(cache), Silent())
    assert (home / "kafka" / "meta.properties").exists()
    assert list(tmp_path.iterdir()) == [home]
