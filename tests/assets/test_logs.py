"""What a run logs says which incident it is about."""

import io
import json
from contextlib import redirect_stderr

import dagster as dg

from assets.logs import json_lines
from assets.partitions import PARTITIONS_NAME
from incident_pipeline.intake.dispatch import RUN_CONFIG


def test_a_run_of_an_incident_says_which() -> None:
    @dg.asset(partitions_def=dg.DynamicPartitionsDefinition(name=PARTITIONS_NAME))
    def broken(context: dg.AssetExecutionContext) -> None:
        context.log.warning("something is odd")
        raise dg.Failure("it cannot be done")

    job = dg.Definitions(
        assets=[broken], jobs=[dg.define_asset_job("job")], loggers={"console": json_lines}
    ).resolve_job_def("job")
    with dg.DagsterInstance.ephemeral() as instance, redirect_stderr(io.StringIO()) as written:
        instance.add_dynamic_partitions(PARTITIONS_NAME, ["INC-1"])
        job.execute_in_process(instance=instance, partition_key="INC-1", run_config=RUN_CONFIG, raise_on_error=False)
    said = [json.loads(line) for line in written.getvalue().splitlines()]
    assert {(line["incident_id"], line["job"]) for line in said} == {("INC-1", "job")}
    assert said[0]["message"].endswith("something is odd")
    assert (said[0]["step"], said[0]["level"]) == ("broken", "warning")
    assert any("it cannot be done" in line["message"] + line.get("error", "") for line in said)
