"""The errors of this application.

    IncidentPipelineError
    ├── ConfigurationError      the user's file, key or argument is wrong; exit status 2
    ├── InputError              data from outside cannot be read (a folder, a webhook body); exit status 1, HTTP 400
    ├── NotFoundError           no such incident, asset or version; exit status 1
    ├── SourceError             a source did not answer; becomes a gap, never ends a run
    │   ├── TransientSourceError    may work a moment later: time-out, 5xx, rate limit
    │   └── PermanentSourceError    will not work until someone acts: 401, 404, bad query
    ├── StoreError              a store is damaged, locked or of a newer version
    └── PolicyError             the policy forbids it

The message is one sentence for a person: what is wrong, where (file, key, source), what to do.
"""

from __future__ import annotations


class IncidentPipelineError(Exception):
    """Anything this application raises on purpose."""


class ConfigurationError(IncidentPipelineError):
    """The configuration or the command line is wrong."""


class InputError(IncidentPipelineError):
    """Data from outside cannot be read."""


class NotFoundError(IncidentPipelineError):
    """What was asked for does not exist."""


class SourceError(IncidentPipelineError):
    """A source did not answer."""


class TransientSourceError(SourceError):
    """The source may answer a moment later."""


class PermanentSourceError(SourceError):
    """The source will not answer until someone acts; never retried."""


class StoreError(IncidentPipelineError):
    """A store cannot be read or written."""


class PolicyError(IncidentPipelineError):
    """The policy forbids it."""
