"""The API: typed, documented at /api/v1/docs, every refusal a code with a message."""

from django.http import Http404, HttpRequest, HttpResponse
from django.utils import translation
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.interfaces.web.api import (
    accuracy,
    bills,
    commands,
    edits,
    findings,
    jobs,
    links,
    mappings,
    measurements,
    meters,
    nodes,
    rebills,
    retention,
    rules,
    sites,
    tariffs,
    traces,
    usage_points,
    users,
    virtual,
)
from wattkeeper.interfaces.web.api.auth import ApiKeyAuth, SessionAuth
from wattkeeper.interfaces.web.problems import body_of, status_of

api = NinjaAPI(
    title="Wattkeeper",
    version="1",
    description="Meters, readings, bills, commands and findings. Instants are ISO 8601 with an offset.",
    auth=[ApiKeyAuth(), SessionAuth()],
)
for router in (
    sites.router,
    usage_points.router,
    links.router,
    meters.router,
    measurements.router,
    tariffs.router,
    bills.router,
    traces.router,
    commands.router,
    findings.router,
    jobs.router,
    mappings.router,
    users.router,
    virtual.router,
    nodes.router,
    accuracy.router,
    rules.router,
    edits.router,
    rebills.router,
    retention.router,
):
    api.add_router("", router)


def _answer(request: HttpRequest, error: WattkeeperError, status: int | None = None) -> HttpResponse:
    body = body_of(error, translation.get_language() or "en")
    response = api.create_response(request, body, status=status or status_of(error))
    if error.code == "accounts.too-many-tries":
        response["Retry-After"] = str(error.params.get("wait_s", 60))
    return response


@api.exception_handler(WattkeeperError)
def _refused(request: HttpRequest, error: WattkeeperError) -> HttpResponse:
    return _answer(request, error)


@api.exception_handler(ValidationError)
def _invalid(request: HttpRequest, error: ValidationError) -> HttpResponse:
    first = error.errors[0]
    place = ".".join(str(part) for part in first["loc"])
    return _answer(request, WattkeeperError("requests.invalid", place=place, reason=first["msg"]), 422)


@api.exception_handler(AuthenticationError)
def _unknown(request: HttpRequest, _error: AuthenticationError) -> HttpResponse:
    return _answer(request, WattkeeperError("accounts.log-in-required"))


@api.exception_handler(HttpError)
def _malformed(request: HttpRequest, error: HttpError) -> HttpResponse:
    return _answer(
        request, WattkeeperError("requests.invalid", place="body", reason=str(error)), error.status_code
    )


@api.exception_handler(Http404)
def _absent(request: HttpRequest, _error: Http404) -> HttpResponse:
    return _answer(request, WattkeeperError("registry.not-found", kind="page", id=request.path))
