from typing import Any

from django.apps import AppConfig
from django.utils.translation import gettext_lazy


class ContactsConfig(AppConfig):
    name = "contacts"
    verbose_name = gettext_lazy("Contacts")

    def ready(self) -> None:
        from campaigns.lifecycle import calling_rules_changed

        calling_rules_changed.connect(_rearm_contacts, dispatch_uid="contacts.rearm")


def _rearm_contacts(campaign: Any, now: Any, before: Any, **_: Any) -> Any:
    from contacts.rearming import rearm_contacts

    return rearm_contacts(campaign, now=now, before=before)
