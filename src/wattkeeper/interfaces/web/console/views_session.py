"""Logging in and out, the language, one's own password."""

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, logout, update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from wattkeeper.actions.accounts.change_password import change_password
from wattkeeper.actions.accounts.log_in import log_in as do_log_in
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import User
from wattkeeper.interfaces.web.console.form_page import FormPage, answer_form
from wattkeeper.interfaces.web.console.forms_work import PasswordForm
from wattkeeper.interfaces.web.console.show import say
from wattkeeper.interfaces.web.console.visit import Visit, page
from wattkeeper.interfaces.web.problems import status_of
from wattkeeper.interfaces.web.services import get_services

LANGUAGES = tuple(code for code, _name in settings.LANGUAGES)
_YEAR_S = 365 * 86_400


@never_cache
def log_in(request: HttpRequest) -> HttpResponse:
    """Log a person in; after too many tries, later."""
    next_url = _safe_next(request)
    if request.method != "POST":
        return render(request, "console/log_in.html", {"next": next_url})
    try:
        user = do_log_in(
            username=request.POST.get("username", ""),
            password=request.POST.get("password", ""),
            address=request.META.get("REMOTE_ADDR", ""),
            now=get_services().now(),
        )
    except WattkeeperError as error:
        context = {"next": next_url, "error": say(error)}
        return render(request, "console/log_in.html", context, status=status_of(error))
    login(request, user)
    return redirect(next_url)


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    logout(request)
    return redirect("console:log_in")


@require_POST
def set_language(request: HttpRequest) -> HttpResponse:
    """Keep the reader's language: in a cookie, and with the person where there is one."""
    answer = redirect(_safe_next(request))
    language = request.POST.get("language", "")
    if language not in LANGUAGES:
        return answer
    answer.set_cookie(settings.LANGUAGE_COOKIE_NAME, language, max_age=_YEAR_S, samesite="Lax", httponly=True)
    if isinstance(request.user, User):
        request.user.language = language
        request.user.save(update_fields=["language"])
    return answer


@page()
def password(visit: Visit) -> HttpResponse:
    """Change one's own password; every other session ends."""

    def change(fields: dict[str, str]) -> str:
        change_password(
            actor=visit.actor,
            now=visit.services.now(),
            user_id=visit.user.id,
            current_password=fields["current_password"],
            new_password=fields["new_password"],
        )
        visit.user.refresh_from_db()
        update_session_auth_hash(visit.request, visit.user)
        messages.success(visit.request, gettext("The password is changed."))
        return reverse("console:overview")

    return answer_form(
        visit,
        FormPage(
            title=_("Change the password"),
            back_url=reverse("console:overview"),
            back_label=_("Overview"),
            button_label=_("Change"),
            make=PasswordForm,
            do=change,
        ),
    )


def _safe_next(request: HttpRequest) -> str:
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    is_ours = url_has_allowed_host_and_scheme(
        wanted, allowed_hosts={request.get_host()}, require_https=request.is_secure()
    )
    return wanted if is_ours else reverse("console:overview")
