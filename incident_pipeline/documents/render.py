"""Templates become text.

Belongs here: where templates are found and how they are rendered safely.
Does not belong here: what the templates say, and how outside text is escaped for Markdown (`escape.py`): a template
receives values that are already safe to print, so that a user's own template is as safe as ours. In `*.html.j2` every
value is escaped for HTML as it is printed.

A template can read nothing but its values and other templates: it runs in Jinja's sandbox, and only files named `*.j2`
are found, wherever `templates_dir` points.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

from incident_pipeline.errors import ConfigurationError

PACKAGED_TEMPLATES = Path(__file__).resolve().parents[2] / "templates"
"""Beside the package: in a checkout as in an installed wheel."""


def render(template_name: str, context: Mapping[str, Any], templates: Path | None) -> str:
    """Render a template, the user's own where there is one, else the packaged one.

    Args:
        template_name: such as `status_update.md.j2`.
        context: what the template may print; text from outside is escaped already.
        templates: the user's folder; None or a folder that does not exist: the packaged templates alone.

    Raises:
        ConfigurationError: the template is absent, or a user's template is wrong; names the file and line.
    """
    try:
        return _environment(templates).get_template(template_name).render(context)
    except jinja2.TemplateSyntaxError as error:
        raise ConfigurationError(f"{error.filename or template_name}, line {error.lineno}: {error.message}") from error
    except jinja2.TemplateNotFound as error:
        raise ConfigurationError(f"template {error} is not in {_searched(templates)}") from error
    except Exception as error:  # a user's template can fail in any way that an expression can
        where = _failing_line(error, template_name)
        raise ConfigurationError(f"{where}: {error}; correct the template or remove it") from error


class _Templates(jinja2.FileSystemLoader):
    """Templates and nothing else: an `include` of `.env` or of a key that lies beside them finds no template."""

    def get_source(self, environment: jinja2.Environment, template: str) -> tuple[str, str, Any]:
        if not template.endswith(".j2"):
            raise jinja2.TemplateNotFound(template)
        return super().get_source(environment, template)


def _is_html(name: str | None) -> bool:
    return name is not None and name.endswith(".html.j2")


@lru_cache(maxsize=8)
def _environment(templates: Path | None) -> jinja2.Environment:
    folders = [folder for folder in (templates, PACKAGED_TEMPLATES) if folder is not None]
    return ImmutableSandboxedEnvironment(
        loader=_Templates(folders),
        undefined=jinja2.StrictUndefined,
        autoescape=_is_html,  # elsewhere escape.py has made the values safe for Markdown
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _searched(templates: Path | None) -> str:
    return " or ".join(str(folder) for folder in (templates, PACKAGED_TEMPLATES) if folder is not None)


def _failing_line(error: Exception, template_name: str) -> str:
    """The template's file and line, from the last frame of the traceback that lies in a template."""
    where, frame = template_name, error.__traceback__
    while frame is not None:
        filename = frame.tb_frame.f_code.co_filename
        if filename.endswith(template_name) or filename.endswith(".j2"):
            where = f"{filename}, line {frame.tb_lineno}"
        frame = frame.tb_next
    return where
