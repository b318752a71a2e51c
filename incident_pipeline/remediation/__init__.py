"""What could be done about an incident, and who must agree."""
