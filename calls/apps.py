from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate
from django.utils.translation import gettext_lazy as _


class CallsConfig(AppConfig):
    name = "calls"
    verbose_name = _("Calls")

    def ready(self) -> None:
        from calls.events.outbox import write_given_up
        from calls.obstacles import find_obstacles
        from calls.schedules import create_schedules
        from calls.shifts import wake_everybody
        from campaigns.lifecycle import campaign_changed, obstacles_wanted
        from contacts.waiting import contacts_given_up, contacts_waiting

        post_migrate.connect(create_provider_row, sender=self)
        post_migrate.connect(create_tally_mark, sender=self)
        post_migrate.connect(create_schedules, sender=self)
        campaign_changed.connect(wake_everybody)
        obstacles_wanted.connect(find_obstacles)
        contacts_waiting.connect(wake_everybody)
        contacts_given_up.connect(write_given_up)


def create_provider_row(**_kwargs: Any) -> None:
    """The one row that holds the limits and is the schedulers' lock."""
    from calls.models import ProviderConfig

    if not ProviderConfig.objects.exists():
        ProviderConfig.objects.create()


def create_tally_mark(**_kwargs: Any) -> None:
    """The one row that says how far attempts are counted."""
    from calls.models import TallyMark

    if not TallyMark.objects.exists():
        TallyMark.objects.create()
