"""Who visits a page: a logged-in person of a tenant, the services, the instant."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from wattkeeper.actions.actor import Actor
from wattkeeper.actions.services import Services
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import Role, User
from wattkeeper.interfaces.web.services import get_services
from wattkeeper.store.api import ReadingStore

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class Visit:
    """One request of a person. `store_problem`: why the readings store could not be asked, if so."""

    request: HttpRequest
    user: User
    actor: Actor
    services: Services
    store_problem: WattkeeperError | None = None

    @property
    def tenant_id(self) -> int:
        """The person's tenant: nothing of another is ever looked for."""
        return self.actor.tenant_id

    def ask(self, question: Callable[[ReadingStore], T], otherwise: T) -> T:
        """Return the readings store's answer; `otherwise`, and the problem noted, where it gives none."""
        store = self.services.store
        if store is None:
            folder = str(self.services.data_folder)
            self.store_problem = WattkeeperError("store.not-running", is_permanent=False, folder=folder)
            return otherwise
        try:
            return question(store)
        except WattkeeperError as error:
            self.store_problem = error
            return otherwise

    def ask_rows(self, question: Callable[[ReadingStore], list[T]]) -> list[T]:
        """Return the rows that the readings store answers with; none, the problem noted, where it can't."""
        nothing: list[T] = []
        return self.ask(question, nothing)


View = Callable[Concatenate[Visit, P], HttpResponseBase]


def page(
    role: Role = Role.VIEWER,
) -> Callable[[View[P]], Callable[Concatenate[HttpRequest, P], HttpResponseBase]]:
    """Return a decorator for views of people with `role` and above; others log in or are refused."""

    def decorate(view: View[P]) -> Callable[Concatenate[HttpRequest, P], HttpResponseBase]:
        @wraps(view)
        def answer(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            user = request.user
            if not isinstance(user, User):
                return redirect_to_login(request.get_full_path())
            actor = Actor.of_user(user, origin="web")
            actor.require(role)
            return view(Visit(request, user, actor, get_services()), *args, **kwargs)

        return answer

    return decorate


def found(row: T | None, kind: str, record_id: int) -> T:
    """Return the row.

    :raises WattkeeperError: ``registry.not-found`` for None: what is another tenant's is as if absent
    """
    if row is None:
        raise WattkeeperError("registry.not-found", kind=kind, id=record_id)
    return row
