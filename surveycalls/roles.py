"""What operators may do, by the group that they are in; every migrate makes the groups as they are here.

A superuser may do everything, and is needed for the first users only.
"""

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.management import create_permissions

VIEWER = (
    "campaigns.view_campaign",
    "campaigns.view_question",
    "campaigns.view_emailtext",
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
    "campaigns.add_question",
    "campaigns.change_question",
    "campaigns.delete_question",
    "contacts.add_contact",
    "contacts.change_contact",
    "contacts.delete_contact",  # who was never called, that is
    "contacts.add_contactimport",
    "contacts.add_donotcallentry",
    "contacts.add_donotcallimport",
    "campaigns.add_emailtext",
    "campaigns.change_emailtext",
    "campaigns.delete_emailtext",
    "calls.view_webhooksubscription",
    "calls.view_webhookdelivery",
    "calls.resend_webhookdelivery",
    "calls.view_eventemail",
)
ADMIN = (
    *CAMPAIGN_MANAGER,
    "contacts.change_donotcallentry",
    "contacts.delete_donotcallentry",
    "contacts.erase_contact",
    "calls.change_providerconfig",
    "calls.add_webhooksubscription",
    "calls.change_webhooksubscription",
    "calls.delete_webhooksubscription",  # those that were never used, that is
    "django_q.view_schedule",
    "django_q.view_success",
    "django_q.view_failure",
    "auth.view_user",
    "auth.add_user",
    "auth.change_user",
    "surveycalls.view_auditentry",
)
ROLES = {"viewer": VIEWER, "campaign_manager": CAMPAIGN_MANAGER, "admin": ADMIN}


def create_roles(app_config: AppConfig, **_kwargs: Any) -> None:
    """After the migration of the last app. What is not here is taken from the roles: it goes into further groups."""
    from django.contrib.auth.models import Group, Permission

    create_permissions(app_config, verbosity=0)  # those of all others are there by now
    permissions = Permission.objects.filter(codename__in={wanted.partition(".")[2] for wanted in ADMIN})
    found = {f"{one.content_type.app_label}.{one.codename}": one for one in permissions.select_related("content_type")}
    for name, wanted in ROLES.items():
        group, _ = Group.objects.get_or_create(name=name)
        group.permissions.set([found[permission] for permission in wanted])
