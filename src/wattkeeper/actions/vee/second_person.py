"""Who may let a large change of what counts come into force: somebody else than its author."""

from wattkeeper.actions.actor import Actor
from wattkeeper.core.kernel.errors import WattkeeperError
from wattkeeper.data.accounts.models import User


def check_second_person(actor: Actor, author_id: int) -> None:
    """Refuse who asked for the change, and whose account that person made or who made that person's.

    :raises WattkeeperError: ``vee.edit-own-approval``, ``vee.edit-creator``, ``vee.edit-person``
    """
    person_id = person_of(actor)
    if person_id == author_id:
        raise WattkeeperError("vee.edit-own-approval")
    made_by = dict(User.objects.filter(id__in=[person_id, author_id]).values_list("id", "created_by_id"))
    if made_by[person_id] == author_id or made_by[author_id] == person_id:
        raise WattkeeperError("vee.edit-creator")


def person_of(actor: Actor) -> int:
    """Return the person who acts.

    :raises WattkeeperError: ``vee.edit-person``
    """
    if actor.user_id is None:
        raise WattkeeperError("vee.edit-person")
    return actor.user_id
