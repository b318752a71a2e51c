"""What is written about an incident: timeline, postmortem, runbook update."""
