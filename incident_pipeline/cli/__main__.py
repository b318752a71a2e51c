"""`python -m incident_pipeline.cli` is the `incident-pipeline` command."""

from incident_pipeline.cli.main import run

run()
