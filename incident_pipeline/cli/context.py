"""How a command comes by what it works on: the configuration, the data directory, the stores.

Belongs here: what `--config` and `--data-dir` said, and the application they stand for, opened at first use.
Does not belong here: anything about one command.
"""

from __future__ import annotations

import os
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from incident_pipeline.application import Application
    from incident_pipeline.configuration.file import LoadedScenario


@dataclass
class Invocation:
    """One call of the command line."""

    config: Path | None = None
    data_dir: Path | None = None

    @cached_property
    def application(self) -> Application:
        """The application that the configuration describes.

        Raises:
            ConfigurationError: the configuration is wrong.
        """
        from incident_pipeline.application import Application

        return Application.load(self.config, self.data_dir)

    def close(self) -> None:
        """Let go of whatever the command opened."""
        if "application" in self.__dict__:
            self.application.close()


_CURRENT: ContextVar[Invocation] = ContextVar("invocation")


def begin(invocation: Invocation) -> None:
    """Make this the invocation that commands ask for."""
    _CURRENT.set(invocation)


def end() -> None:
    """Close what the invocation opened."""
    invocation = _CURRENT.get(None)
    if invocation is not None:
        invocation.close()
        _CURRENT.set(Invocation())


def invocation() -> Invocation:
    """The invocation that is running; outside the command line, one with nothing said."""
    return _CURRENT.get(None) or Invocation()


def application() -> Application:
    """The application of the running command: scenario, data_dir, inbox, store, knowledge base.

    Raises:
        ConfigurationError: the configuration is wrong.
    """
    return invocation().application


def names_data_dir() -> bool:
    """Whether the command line or the environment says where things are stored."""
    from incident_pipeline.application import DATA_DIR_VARIABLE

    return invocation().data_dir is not None or bool(os.environ.get(DATA_DIR_VARIABLE))


def loaded_scenario() -> LoadedScenario:
    """The configuration with what its file wrote, for commands that speak about the configuration itself.

    Raises:
        ConfigurationError: the configuration is wrong.
    """
    from incident_pipeline.configuration.file import load_scenario

    running = invocation()
    return load_scenario(running.application.config_path, running.application.data_dir)
