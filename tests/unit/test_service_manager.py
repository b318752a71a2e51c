"""systemd hears when the service is ready; nobody else is bothered."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from incident_pipeline.operation.service_manager import READY, VARIABLE, tell


@pytest.mark.parametrize("abstract", [False, True])
def test_the_manager_hears_what_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abstract: bool) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        place = f"\0{tmp_path.name}-{id(manager)}" if abstract else str(tmp_path / "notify")
        manager.bind(place)
        manager.settimeout(5)
        monkeypatch.setenv(VARIABLE, place.replace("\0", "@"))
        assert tell(READY)
        assert manager.recv(64) == b"READY=1"


def test_without_a_manager_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert not tell(READY)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "absent"))
    assert not tell(READY)
