"""The frame of every page: style, and headers that allow neither scripts nor frames nor anything from elsewhere.

Belongs here: what all pages share, and how a refusal looks. Does not belong here: what stands on one.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from incident_pipeline.console.admission import Refused
from incident_pipeline.documents.escape import clean
from incident_pipeline.errors import IncidentPipelineError, InputError, NotFoundError, PolicyError

LOG = logging.getLogger(__name__)

Handler = Callable[[Request], Awaitable[Response]]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    # with "no-referrer" browsers send "Origin: null" with our own forms, which is refused as another site's
    "Referrer-Policy": "same-origin",
}
_STYLE = """
:root{color-scheme:light dark}
body{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:0 auto;padding:1rem;color:#1b1b1b;background:#fff}
form{display:flex;flex-wrap:wrap;gap:.5rem}
input,select,button{font:inherit;padding:.5rem}input[type=search]{flex:1 1 16rem}
li{margin:1.2rem 0}ol{padding-left:1.2rem}.why{color:#444}.kind{color:#555;font-size:.9rem}
dl{display:grid;grid-template-columns:6rem 1fr;gap:.2rem 1rem}dt{color:#555}dd,dd li{margin:0}
dd ul{margin:0;padding-left:1rem}
pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f4f4;padding:1rem}
a:focus,input:focus,select:focus,button:focus{outline:3px solid #0b57d0}
@media(max-width:30rem){dl{display:block}dd{margin-bottom:.5rem}}
@media(prefers-color-scheme:dark){body{background:#111;color:#eee}.why,.kind,dt{color:#bbb}pre{background:#222}a{color:#8ab4f8}}
"""


def html_page(title: str, body: str, status: int = 200) -> HTMLResponse:
    """A whole page; the title is escaped here, the body was where it was written."""
    head = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
    )
    whole = f"{head}<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    return HTMLResponse(whole, status_code=status, headers=HEADERS)


def shown(text: str, limit: int = 300) -> str:
    """Text from outside as one line of HTML that does nothing."""
    return escape(clean(text, limit))


def answered(handler: Handler) -> Handler:
    """The handler, with what it refuses as a page of one sentence."""

    async def answer(request: Request) -> Response:
        try:
            return await handler(request)
        except Refused as refused:
            status, sentence = refused.status, refused.sentence
        except NotFoundError as error:
            status, sentence = 404, str(error)
        except PolicyError as error:
            status, sentence = 409, str(error)
        except InputError as error:
            status, sentence = 400, str(error)
        except IncidentPipelineError as error:
            LOG.warning("a page could not be shown: %s", error)
            status, sentence = 503, str(error)
        return html_page("That did not work", f"<p role=alert>{shown(sentence)}</p>", status=status)

    return answer
