"""The Dagster web server: launching the run of a claim at once, without waiting for a sensor's turn.

Endpoint: `POST /graphql` (https://docs.dagster.io/api/graphql). Two calls for each claim: the partition is added (it
may be there already), then the run is launched with the claim's tags.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from incident_pipeline.errors import PermanentSourceError, SourceError, TransientSourceError
from incident_pipeline.storage.inbox.claims import Claim

LOCATION = "incident_pipeline"
REPOSITORY = "__repository__"
PARTITIONS = "incident"
PARTITION_TAG = "dagster/partition"
TIMEOUT = timedelta(seconds=20)

PostJson = Callable[[str, Mapping[str, Any], timedelta], Any]
"""Sends a body to a URL within a time and returns the JSON of the answer; raises SourceError."""

ADD_PARTITION = """
mutation AddPartition($repository: RepositorySelector!, $name: String!, $key: String!) {
  addDynamicPartition(repositorySelector: $repository, partitionsDefName: $name, partitionKey: $key) {
    __typename
    ... on PythonError { message }
    ... on UnauthorizedError { message }
  }
}"""

LAUNCH_RUN = """
mutation LaunchRun($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on UnauthorizedError { message }
    ... on PipelineNotFoundError { message }
    ... on InvalidSubsetError { message }
  }
}"""

LOADED = """
query Loaded {
  workspaceOrError {
    __typename
    ... on Workspace { locationEntries { name locationOrLoadError { ... on RepositoryLocation { name } } } }
  }
}"""

PARTITION_IS_THERE = {"AddDynamicPartitionSuccess", "DuplicateDynamicPartitionError"}


class DagsterWebServer:
    """Launches runs through a Dagster web server."""

    def __init__(self, url: str, post_json: PostJson) -> None:
        self._endpoint = url.rstrip("/") + "/graphql"
        self._post_json = post_json

    def has_loaded(self) -> bool:
        """Whether it answers and knows our code, so that it can launch."""
        try:
            entries = self._ask("workspaceOrError", LOADED, {}).get("locationEntries") or []
        except SourceError:
            return False
        return any(entry["name"] == LOCATION and entry.get("locationOrLoadError") for entry in entries)

    def launch(self, claim: Claim, tags: Mapping[str, str], run_config: Mapping[str, Any]) -> str:
        """Start the run of a claim; returns the run's id.

        Raises:
            TransientSourceError: the web server does not answer, or has not loaded the code yet.
            PermanentSourceError: it refuses the run.
        """
        repository = {"repositoryName": REPOSITORY, "repositoryLocationName": LOCATION}
        added = self._ask(
            "addDynamicPartition",
            ADD_PARTITION,
            {"repository": repository, "name": PARTITIONS, "key": claim.incident_id},
        )
        if added["__typename"] not in PARTITION_IS_THERE:
            raise TransientSourceError(f"the Dagster web server did not add the partition: {_reason(added)}")
        launched = self._ask("launchRun", LAUNCH_RUN, {"params": _execution(claim, tags, run_config, repository)})
        if launched["__typename"] != "LaunchRunSuccess":
            raise PermanentSourceError(f"the Dagster web server did not launch the run: {_reason(launched)}")
        return str(launched["run"]["runId"])

    def _ask(self, field: str, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._post_json(self._endpoint, {"query": query, "variables": variables}, TIMEOUT)
        found = (answer.get("data") or {}).get(field) if isinstance(answer, dict) else None
        if not isinstance(found, dict):
            raise TransientSourceError(f"the Dagster web server answered without {field}")
        return found


def _execution(
    claim: Claim, tags: Mapping[str, str], run_config: Mapping[str, Any], repository: Mapping[str, str]
) -> dict[str, Any]:
    every_tag = {**tags, PARTITION_TAG: claim.incident_id}
    return {
        "selector": {**repository, "pipelineName": claim.job},
        "mode": "default",
        "runConfigData": run_config,
        "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in every_tag.items()]},
    }


def _reason(answer: Mapping[str, Any]) -> str:
    return str(answer.get("message") or answer["__typename"]).splitlines()[0][:300]
