"""What starts runs by itself.

The receiver launches the run of a new incident at once; these sensors are the net that catches what it missed (it was
down, the web server was down, the run died). Both go through the same claim, so no incident is run twice.
"""

from collections.abc import Sequence
from datetime import datetime

import dagster as dg

from assets.dead_runs import end_dead_runs
from assets.jobs import close_out, execute_remediation, index_knowledge_base, respond
from assets.partitions import incident_partitions
from assets.resources import Responder
from incident_pipeline.communication.speaker import Speaker, stands_in
from incident_pipeline.communication.telling import report_failed_run
from incident_pipeline.connectors.limits import limited_by
from incident_pipeline.intake.dispatch import ATTEMPT_TAG, CLAIM_TAG, RUN_CONFIG, run_tags, take_claims
from incident_pipeline.intake.polling import poll
from incident_pipeline.knowledge.sources import ledger_state, sources_state
from incident_pipeline.remediation.records import Execution
from incident_pipeline.storage.inbox.claims import Claim

RUNNING = dg.DefaultSensorStatus.RUNNING
EVERY_SECONDS = 5
TRY_AGAIN_SECONDS = 30


def _requests(context: dg.SensorEvaluationContext, claims: Sequence[Claim]) -> dg.SensorResult | dg.SkipReason:
    if not claims:
        return dg.SkipReason("nothing is due")
    known = set(context.instance.get_dynamic_partitions(str(incident_partitions.name)))
    new = sorted({claim.incident_id for claim in claims} - known)
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(
                run_key=claim.claim_id,
                job_name=claim.job,
                partition_key=claim.incident_id,
                run_config=RUN_CONFIG,
                tags=run_tags(claim),
            )
            for claim in claims
        ],
        dynamic_partitions_requests=[incident_partitions.build_add_request(new)] if new else [],
    )


@dg.sensor(jobs=[respond, close_out], default_status=RUNNING, minimum_interval_seconds=EVERY_SECONDS)
def alerts_and_resolutions(
    context: dg.SensorEvaluationContext, responder: Responder
) -> dg.SensorResult | dg.SkipReason:
    """Groups what is in the inbox and starts a run for each incident that is due: a diagnosis or a close-out."""
    application, now = responder.application, responder.now()
    try:
        application.inbox.heartbeat("daemon", now)
        application.inbox.resolve_mitigated(now, application.scenario.remediation.resolve_after)
        return _requests(context, take_claims(application, now))
    finally:
        application.close()


@dg.sensor(default_status=RUNNING, minimum_interval_seconds=EVERY_SECONDS)
def polled_alerts(context: dg.SensorEvaluationContext, responder: Responder) -> dg.SkipReason:
    """Asks the alert sources that have a key; where each goes on is kept only once its alerts are stored."""
    application, now = responder.application, responder.now()
    try:
        with limited_by(application.rates):
            found = poll(application.scenario, context.cursor, now)
        accepted = application.inbox.accept(found.alerts, now) if found.alerts else 0
    finally:
        application.close()
    context.update_cursor(found.cursor)
    for source, problem in (found.problems or {}).items():
        context.log.warning("%s: %s", source, problem)
    return dg.SkipReason(f"{accepted} alerts from {', '.join(found.asked)}" if found.asked else "no source is due")


@dg.sensor(default_status=RUNNING, minimum_interval_seconds=EVERY_SECONDS)
def dead_runs(context: dg.SensorEvaluationContext, responder: Responder) -> dg.SkipReason:
    """Ends runs whose process has died, so that their incidents are claimed again."""
    application = responder.application
    try:
        ended = end_dead_runs(context.instance, application.inbox, application.run_locks, responder.now())
    finally:
        application.close()
    return dg.SkipReason(f"ended {', '.join(ended)}" if ended else "no dead runs")


@dg.sensor(job=index_knowledge_base, default_status=RUNNING, minimum_interval_seconds=60)
def knowledge_base_sources(context: dg.SensorEvaluationContext, responder: Responder) -> dg.RunRequest | dg.SkipReason:
    """Reads the sources of the knowledge base again when one of their files has changed, or somebody said something."""
    application = responder.application
    try:
        state = f"{sources_state(application.scenario.knowledge_base)} {ledger_state(application)}"
    finally:
        application.close()
    if state == context.cursor:
        return dg.SkipReason("no source has changed, and nobody said anything")
    context.update_cursor(state)
    return dg.RunRequest(run_key=None, run_config=RUN_CONFIG)


@dg.sensor(job=execute_remediation, default_status=RUNNING, minimum_interval_seconds=EVERY_SECONDS)
def approvals(context: dg.SensorEvaluationContext, responder: Responder) -> dg.SensorResult | dg.SkipReason:
    """Starts a run for each incident with something approved to carry out, or something carried out to look at."""
    application, now = responder.application, responder.now()
    try:
        due = application.inbox.executions_due(now)
    finally:
        application.close()
    if not due:
        return dg.SkipReason("nothing is approved or waits to be looked at")
    known = set(context.instance.get_dynamic_partitions(str(incident_partitions.name)))
    new = sorted({execution.incident_id for execution in due} - known)
    keys = {execution.incident_id: run_key(execution, now) for execution in due}
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=key, partition_key=incident_id) for incident_id, key in keys.items()],
        dynamic_partitions_requests=[incident_partitions.build_add_request(new)] if new else [],
    )


def run_key(execution: Execution, now: datetime) -> str:
    """Once for each step of an execution, and again after a while where the run did nothing about it."""
    parts = (execution.execution_id, execution.state.value, execution.fence, execution.verification.value)
    return ":".join(map(str, ("execute", *parts, int(now.timestamp()) // TRY_AGAIN_SECONDS)))


@dg.run_failure_sensor(default_status=RUNNING, minimum_interval_seconds=EVERY_SECONDS)
def failed_runs(context: dg.RunFailureSensorContext, responder: Responder) -> None:
    """The responder itself has failed: the claim goes back, and people are told that nobody looks into it yet."""
    run = context.dagster_run
    application = responder.application
    try:
        error = context.failure_event.message or "the run failed"
        if claim := run.tags.get(CLAIM_TAG):
            application.inbox.finish(claim, responder.now(), succeeded=False, error=error)
        report_failed_run(
            application, run.tags.get("dagster/partition"), run.tags.get(ATTEMPT_TAG), error, responder.now()
        )
    finally:
        application.close()


@dg.sensor(default_status=RUNNING, minimum_interval_seconds=EVERY_SECONDS)
def messages(context: dg.SensorEvaluationContext, responder: Responder) -> dg.SkipReason:  # noqa: ARG001
    """Tells people what is new while the receiver, which otherwise does, gives no sign of life."""
    application, now = responder.application, responder.now()
    try:
        if not stands_in(application, now):
            return dg.SkipReason("the receiver tells people")
        out = Speaker(application, watches="receiver", now=responder.now).speak()
    finally:
        application.close()
    return dg.SkipReason(f"{out} messages sent")


all_sensors = [
    alerts_and_resolutions,
    polled_alerts,
    dead_runs,
    knowledge_base_sources,
    approvals,
    failed_runs,
    messages,
]
