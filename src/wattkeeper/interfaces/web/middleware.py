"""What every answer gets: the reader's language, strict content rules, errors as clear pages."""

from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import translation

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import User
from wattkeeper.interfaces.web.problems import body_of, status_of

_CONTENT_RULES = (
    "default-src 'self'; script-src 'self'; style-src 'self'{styles}; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_DOCS_PATH = "/api/v1/docs"


def refused(_request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return what is told, to anybody, of a request that cannot be served: for an unknown host, say."""
    is_host = isinstance(exception, DisallowedHost)
    error = WattkeeperError("requests.host-unknown" if is_host else "requests.refused")
    told = body_of(error, translation.get_language() or "en")
    return HttpResponse(f"{told['message']} [{error.code}]\n", "text/plain; charset=utf-8", 400)


class ConsoleMiddleware:
    """Language of the person, content security policy, and a page for each error that has a code."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer a request."""
        user = request.user
        if isinstance(user, User) and user.language:
            translation.activate(user.language)
            request.LANGUAGE_CODE = user.language
        response = self._get_response(request)
        # the page that documents the API styles itself; no other page may
        styles = " 'unsafe-inline'" if request.path == _DOCS_PATH else ""
        response.setdefault("Content-Security-Policy", _CONTENT_RULES.format(styles=styles))
        response.setdefault("Referrer-Policy", "same-origin")
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Return a page for an error with a code; anything else goes on."""
        if not isinstance(exception, WattkeeperError):
            return None
        problem = body_of(exception, translation.get_language() or "en")
        return render(request, "problem.html", {"problem": problem}, status=status_of(exception))
