"""Every job that django-q2 runs by the clock."""

from typing import Any

from django.utils.translation import gettext_noop
from django_q.models import Schedule

EVERY_MINUTE = {"schedule_type": Schedule.MINUTES, "minutes": 1, "repeats": -1}
EVERY_DAY = {"schedule_type": Schedule.DAILY, "repeats": -1}

SCHEDULES = {
    gettext_noop("Ring whoever is due"): {"func": "calls.tasks.run_scheduler", **EVERY_MINUTE},
    gettext_noop("Settle silent calls"): {"func": "calls.tasks.reconcile", **EVERY_MINUTE},
    gettext_noop("Count the calls that are over"): {"func": "calls.tasks.keep_tallies", **EVERY_MINUTE},
    gettext_noop("Tell others what became of people"): {"func": "calls.tasks.tell_others", **EVERY_MINUTE},
    gettext_noop("Go on with imports"): {"func": "contacts.tasks.resume_imports", **EVERY_MINUTE},
    gettext_noop("Apply new rules of campaigns"): {"func": "contacts.tasks.rearm_contacts", **EVERY_MINUTE},
    gettext_noop("Erase what is kept long enough"): {"func": "calls.tasks.erase_expired", **EVERY_DAY},
}


def create_schedules(**_kwargs: Any) -> None:
    """After every migration; an existing schedule keeps its next run."""
    for name, definition in SCHEDULES.items():
        Schedule.objects.update_or_create(name=name, defaults=definition)
