"""Which of the configured focus areas a change touches.

Belongs here: what `config`, `database`, `api` and `dependencies` mean in terms of paths. Any other area is a path, or
a pattern of paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from incident_pipeline.models import CodeChange

_AREAS = {
    "config": (
        r"(^|/)(config|configs|configuration|conf|settings|values|helm|charts?|deploy|deployments?|k8s|kubernetes|"
        r"manifests|terraform|ansible|environments?|flags?)(/|[._-])|"
        r"\.(ya?ml|toml|ini|cfg|conf|properties|env|tf|tfvars|hcl)$|(^|/)(\.env|Dockerfile|docker-compose)|"
        r"(^|/)(settings|config)\.\w+$"
    ),
    "database": (
        r"(^|/)(db|database|databases|migrations?|schema|schemas|models?|sql|dao|repositor(y|ies)|alembic|flyway|"
        r"liquibase|prisma|ent|orm)(/|[._-])|\.(sql|prisma|ddl)$|(^|/)\w*(migration|schema|query|queries)\w*\.\w+$"
    ),
    "api": (
        r"(^|/)(api|apis|routes?|routers?|controllers?|handlers?|endpoints?|graphql|grpc|proto|protos|openapi|swagger|"
        r"rest|server|views?)(/|[._-])|\.(proto|graphql|gql)$|(^|/)\w*(handler|controller|router|endpoint|openapi|"
        r"swagger)\w*\.\w+$"
    ),
    "dependencies": (
        r"(^|/)(requirements[\w.-]*\.(txt|in)|constraints[\w.-]*\.txt|pyproject\.toml|poetry\.lock|uv\.lock|Pipfile(\.lock)?|"
        r"setup\.(py|cfg)|package(-lock)?\.json|yarn\.lock|pnpm-lock\.yaml|npm-shrinkwrap\.json|go\.(mod|sum)|"
        r"Cargo\.(toml|lock)|Gemfile(\.lock)?|pom\.xml|build\.gradle(\.kts)?|gradle\.lockfile|libs\.versions\.toml|"
        r"composer\.(json|lock)|mix\.(exs|lock)|\w+\.csproj|packages\.lock\.json|Directory\.Packages\.props)$|"
        r"(^|/)(vendor|third_party|node_modules)/"
    ),
}
_PATTERNS = {area: re.compile(pattern, re.IGNORECASE) for area, pattern in _AREAS.items()}


def focus_areas_of(files: Iterable[str], areas: Sequence[str]) -> tuple[str, ...]:
    """The areas, in their order, of which at least one file is."""
    paths = list(files)
    return tuple(area for area in areas if any(_is_of(path, area) for path in paths))


def with_focus_areas(changes: Iterable[Any], areas: Sequence[str]) -> tuple[CodeChange, ...]:
    """The changes with the areas that each touches; areas that a source has named stay."""
    if not areas:
        return tuple(changes)
    return tuple(
        change.model_copy(
            update={"focus_areas": tuple(dict.fromkeys((*change.focus_areas, *focus_areas_of(change.files, areas))))}
        )
        for change in changes
    )


def _is_of(path: str, area: str) -> bool:
    pattern = _PATTERNS.get(area.lower())
    if pattern is not None:
        return pattern.search(path) is not None
    area = area.strip("/")
    return path == area or path.startswith(area + "/") or fnmatchcase(path, area)
