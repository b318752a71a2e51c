"""How runs are divided: one dynamic partition for each incident."""

from __future__ import annotations

import dagster as dg

PARTITIONS_NAME = "incident"

incident_partitions = dg.DynamicPartitionsDefinition(name=PARTITIONS_NAME)
