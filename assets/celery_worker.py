"""What Celery workers load where runs are spread over machines: `celery --app assets.celery_worker worker`.

Belongs here: the broker, and that everything a run needs is loaded before workers fork. Does not belong here: which
run goes where; that is Dagster's Celery launcher, named in `deploy/scale/dagster.yaml`.

A task is taken off the queue before it begins (`task_acks_late` is off), for a run that was killed must not be started
again behind the inbox's back: its claim goes back, and a new run is launched.
"""

from __future__ import annotations

import os

from dagster_celery.make_app import make_app
from dagster_celery.tasks import create_execute_job_task

from assets.rehearsal import rehearse
from incident_pipeline.application import Application
from incident_pipeline.operation.structured_logs import write_json_logs

BROKER_VARIABLE = "INCIDENT_PIPELINE_BROKER"
BROKER = os.environ.get(BROKER_VARIABLE, "redis://127.0.0.1:6379/0")

write_json_logs("worker")
app = make_app(  # type: ignore[no-untyped-call]
    app_args={
        "broker": BROKER,
        "backend": BROKER,
        "config_source": {
            # a worker takes no run that it has no room for: another one may have
            "worker_disable_prefetch": True,
            "worker_prefetch_multiplier": 1,
            "worker_max_tasks_per_child": 50,
            "worker_hijack_root_logger": False,
            "worker_redirect_stdouts": False,
            "task_acks_late": False,
            "broker_connection_retry_on_startup": True,
        },
    }
)
execute_job = create_execute_job_task(app)
rehearse(Application.load())
