"""The receiver's process: `python -m incident_pipeline.console.serve`; `incident-pipeline up` starts it.

Three things live in it: webhooks, the launching of runs, and telling people what is new.
"""

from __future__ import annotations

import argparse
from functools import partial

import uvicorn

from incident_pipeline.application import Application
from incident_pipeline.communication.speaker import Speaker
from incident_pipeline.connectors.dagster_graphql import DagsterWebServer
from incident_pipeline.connectors.http import post_json
from incident_pipeline.console.kb_pages import routes
from incident_pipeline.console.receiver import create_receiver
from incident_pipeline.intake.dispatch import Dispatcher, run_tags
from incident_pipeline.storage.claims import Claim

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def main() -> None:
    """Serve until SIGTERM; launch runs through the web server whenever alerts came; tell people of what they find."""
    parser = argparse.ArgumentParser(description="Receives alerts and has their incidents diagnosed.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3001)
    parser.add_argument("--web-server", required=True, help="URL of the Dagster web server")
    options = parser.parse_args()
    application = Application.load()
    dispatcher = Dispatcher(application, partial(_launch, DagsterWebServer(options.web_server, post_json)))
    receiver = create_receiver(
        application.inbox,
        application.scenario,
        application.catalogue,
        dispatcher.wake,
        data_dir=application.data_dir,
    )
    if options.host in LOOPBACK:
        # the pages ask for no token: they are for people on this machine
        receiver.router.routes.extend(routes(lambda: application.knowledge_base))
    speaker = Speaker(application, watches="daemon")
    dispatcher.start()
    speaker.start()
    try:
        uvicorn.run(receiver, host=options.host, port=options.port, log_level="warning", access_log=False)
    finally:
        dispatcher.stop()
        speaker.stop()
        application.close()


def _launch(server: DagsterWebServer, claim: Claim) -> str:
    return server.launch(claim, run_tags(claim))


if __name__ == "__main__":
    main()
