"""The receiver's process: `python -m incident_pipeline.console.serve`; `incident-pipeline up` starts it.

What lives in it: webhooks, clicks in Slack, the launching of runs, telling people what is new, the dead man's switch.
"""

from __future__ import annotations

import argparse
from datetime import timedelta
from functools import partial

import uvicorn

from incident_pipeline.application import Application
from incident_pipeline.communication.media import whisper
from incident_pipeline.communication.speaker import Speaker
from incident_pipeline.connectors.dagster_graphql import DagsterWebServer
from incident_pipeline.connectors.http import answers, post_json
from incident_pipeline.connectors.slack_socket import SlackSocket
from incident_pipeline.console import approval_pages, feedback_pages, slack_buttons
from incident_pipeline.console.dead_man_switch import DeadManSwitch
from incident_pipeline.console.kb_pages import routes
from incident_pipeline.console.receiver import create_receiver
from incident_pipeline.console.sessions import Sessions
from incident_pipeline.console.slack_clicks import Clicks
from incident_pipeline.console.slack_listening import SlackListening
from incident_pipeline.intake.dispatch import RUN_CONFIG, Dispatcher, run_tags
from incident_pipeline.operation.background import BackgroundLoop
from incident_pipeline.operation.structured_logs import write_json_logs
from incident_pipeline.storage.inbox.claims import Claim

LOOK_AFTER = timedelta(seconds=0.5)
"""How long an alert waits at most that nobody was woken for."""
REST_AFTER_LAUNCHES = timedelta(seconds=0.2)
"""A storm wakes the dispatcher with every commit; grouping goes in gulps then."""
SPEAK_EVERY = timedelta(seconds=1)
PING_TIMEOUT = timedelta(seconds=10)
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def main() -> None:
    """Serve until SIGTERM; launch runs through the web server whenever alerts came; tell people of what they find."""
    parser = argparse.ArgumentParser(description="Receives alerts and has their incidents diagnosed.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=3001)
    parser.add_argument("--web-server", required=True, help="URL of the Dagster web server")
    options = parser.parse_args()
    write_json_logs("receiver")
    application = Application.load()
    dispatcher = Dispatcher(application, partial(_launch, DagsterWebServer(options.web_server, post_json)))
    dispatching = BackgroundLoop("dispatcher", dispatcher.dispatch, LOOK_AFTER, pause=REST_AFTER_LAUNCHES)
    receiver = create_receiver(
        application.inbox,
        application.scenario,
        application.catalogue,
        dispatching.wake,
        data_dir=application.data_dir,
    )
    sessions = Sessions(application.scenario.remediation.people)
    if options.host in LOOPBACK:
        # the pages ask for no token: they are for people on this machine
        receiver.router.routes.extend(routes(lambda: application.knowledge_base, sessions=sessions))
    receiver.router.routes.extend(approval_pages.routes(application, sessions=sessions))
    receiver.router.routes.extend(feedback_pages.routes(application, sessions))
    speaking = BackgroundLoop("speaker", Speaker(application, watches="daemon").speak, SPEAK_EVERY)
    clicks = Clicks(application, speaking.wake, partial(whisper, application.scenario))
    secret = application.scenario.receiver.tokens.get("slack")
    receiver.router.routes.append(slack_buttons.route(clicks, secret))
    threads: list[BackgroundLoop | SlackListening] = [
        dispatching,
        speaking,
        *_dead_man_switch(application),
        *_slack_listening(application, clicks),
    ]
    for thread in threads:
        thread.start()
    try:
        uvicorn.run(receiver, host=options.host, port=options.port, log_config=None, access_log=False)
    finally:
        for thread in threads:
            thread.stop()
        application.close()


def _dead_man_switch(application: Application) -> list[BackgroundLoop]:
    settings = application.scenario.dead_man_switch
    if settings.url is None:
        return []
    ping = partial(answers, settings.url.get_secret_value(), PING_TIMEOUT)
    return [BackgroundLoop("dead man's switch", DeadManSwitch(application.inbox, ping).look, settings.interval)]


def _slack_listening(application: Application, clicks: Clicks) -> list[SlackListening]:
    connection = application.scenario.connections.get("slack")
    if connection is None or connection.app_token is None:
        return []
    return [SlackListening(SlackSocket(connection), clicks)]


def _launch(server: DagsterWebServer, claim: Claim) -> str:
    return server.launch(claim, run_tags(claim), RUN_CONFIG)


if __name__ == "__main__":
    main()
