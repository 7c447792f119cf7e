"""What operators may do, by the group that they are in; every migrate makes the groups as they are here.

A superuser may do everything, and is needed for the first users only.
"""

from typing import Any

from django.apps import apps
from django.contrib.auth.management import create_permissions

VIEWER = (
    "campaigns.view_campaign",
    "contacts.view_contact",
    "contacts.view_contactimport",
    "contacts.view_donotcallentry",
    "contacts.view_donotcallimport",
    "calls.view_callattempt",
    "calls.view_providerconfig",
)
CAMPAIGN_MANAGER = (
    *VIEWER,
    "campaigns.add_campaign",
    "campaigns.change_campaign",
    "campaigns.delete_campaign",  # those without contacts, that is
    "contacts.add_contact",
    "contacts.change_contact",
    "contacts.delete_contact",  # who was never called, that is
    "contacts.add_contactimport",
    "contacts.add_donotcallentry",
    "contacts.add_donotcallimport",
)
ADMIN = (
    *CAMPAIGN_MANAGER,
    "contacts.change_donotcallentry",
    "contacts.delete_donotcallentry",
    "calls.change_providerconfig",
    "django_q.view_schedule",
    "django_q.view_success",
    "django_q.view_failure",
    "auth.view_user",
    "auth.add_user",
    "auth.change_user",
)
ROLES = {"viewer": VIEWER, "campaign_manager": CAMPAIGN_MANAGER, "admin": ADMIN}


def create_roles(**_kwargs: Any) -> None:
    """After a migration. What is not here is taken from them: further permissions go into further groups."""
    from django.contrib.auth.models import Group, Permission

    for app in apps.get_app_configs():
        create_permissions(app, verbosity=0)
    for name, wanted in ROLES.items():
        labels = [permission.split(".") for permission in wanted]
        found = [Permission.objects.get(content_type__app_label=app, codename=code) for app, code in labels]
        Group.objects.get_or_create(name=name)[0].permissions.set(found)
