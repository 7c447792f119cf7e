"""What each role may see and do, page by page."""

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command
from structlog.testing import capture_logs

from calls.models import ProviderConfig
from calls.tests.factories import CallAttemptFactory
from campaigns.models import Campaign, CampaignStatus
from campaigns.tests.factories import AskingCampaignFactory, CampaignFactory
from contacts.models import Contact, DoNotCallEntry
from contacts.tests.factories import ContactFactory, DoNotCallEntryFactory
from surveycalls.roles import ROLES

NOBODY, VIEWER, MANAGER, ADMIN = "nobody", "viewer", "campaign_manager", "admin"

pytestmark = pytest.mark.django_db


@pytest.fixture
def log_in(client):
    def log_in(role):
        user = User.objects.create_user(f"a-{role}", password="-", is_staff=True)
        if role != NOBODY:
            user.groups.add(Group.objects.get(name=role))
        client.force_login(user)
        return client

    return log_in


def allowed(*roles):
    return [(role, 200 if role in roles else 403) for role in (NOBODY, VIEWER, MANAGER, ADMIN)]


EVERYBODY = (VIEWER, MANAGER, ADMIN)
PAGES = {
    "/admin/campaigns/campaign/": EVERYBODY,
    "/admin/campaigns/campaign/add/": (MANAGER, ADMIN),
    "/admin/contacts/contact/": EVERYBODY,
    "/admin/contacts/contact/add/": (MANAGER, ADMIN),
    "/admin/contacts/contactimport/": EVERYBODY,
    "/admin/contacts/contactimport/add/": (MANAGER, ADMIN),
    "/admin/contacts/donotcallimport/": EVERYBODY,
    "/admin/contacts/donotcallimport/add/": (MANAGER, ADMIN),
    "/admin/contacts/donotcallentry/": EVERYBODY,
    "/admin/contacts/donotcallentry/add/": (MANAGER, ADMIN),
    "/admin/calls/callattempt/": EVERYBODY,
    "/admin/calls/callattempt/add/": (),
    "/admin/calls/providerconfig/": EVERYBODY,
    "/admin/campaigns/emailtext/": EVERYBODY,
    "/admin/campaigns/emailtext/add/": (MANAGER, ADMIN),
    "/admin/calls/eventemail/": (MANAGER, ADMIN),
    "/admin/calls/eventemail/add/": (),
    "/admin/calls/webhooksubscription/": (MANAGER, ADMIN),
    "/admin/calls/webhooksubscription/add/": (ADMIN,),
    "/admin/calls/webhookdelivery/": (MANAGER, ADMIN),
    "/admin/calls/webhookdelivery/add/": (),
    "/admin/django_q/schedule/": (ADMIN,),
    "/admin/django_q/schedule/add/": (),
    "/admin/django_q/success/": (ADMIN,),
    "/admin/django_q/failure/": (ADMIN,),
    "/admin/auth/user/": (ADMIN,),
    "/admin/auth/user/add/": (ADMIN,),
    "/admin/auth/group/": (),
    "/admin/contacts/contact/erase/": (ADMIN,),
    "/admin/surveycalls/auditentry/": (ADMIN,),
    "/admin/surveycalls/auditentry/add/": (),
}


@pytest.mark.parametrize(
    ("page", "role", "status"), [(page, *row) for page, roles in PAGES.items() for row in allowed(*roles)]
)
def test_who_sees_which_page(log_in, page, role, status):
    assert log_in(role).get(page, follow=True).status_code == status


def test_every_role_has_what_it_is_said_to_have():
    for name, permissions in ROLES.items():
        held = Group.objects.get(name=name).permissions.values_list("content_type__app_label", "codename")
        assert {f"{app}.{code}" for app, code in held} == set(permissions)


def test_a_migration_gives_the_roles_back_what_they_lost_and_takes_what_was_added():
    group = Group.objects.get(name=VIEWER)
    group.permissions.set([Permission.objects.get(codename="delete_campaign")])
    call_command("migrate", verbosity=0)
    assert group.permissions.count() == len(ROLES[VIEWER])
    assert not group.permissions.filter(codename="delete_campaign").exists()


STEPS = {"activate": CampaignStatus.DRAFT, "pause": CampaignStatus.RUNNING, "cancel": CampaignStatus.RUNNING}


@pytest.mark.parametrize(("role", "may"), [(VIEWER, False), (MANAGER, True), (ADMIN, True)])
@pytest.mark.parametrize("step", STEPS)
def test_who_takes_a_step_of_a_campaign(log_in, role, may, step):
    campaign = AskingCampaignFactory(status=STEPS[step])
    ContactFactory(campaign=campaign)
    response = log_in(role).post(f"/admin/campaigns/campaign/{campaign.pk}/{step}/", {"_form_submitted": "True"})
    assert (response.status_code == 403) == (not may)
    assert (Campaign.objects.get().status != STEPS[step]) == may


@pytest.mark.parametrize(("role", "may"), [(VIEWER, False), (MANAGER, True), (ADMIN, True)])
def test_who_edits_a_campaign(log_in, role, may):
    campaign = CampaignFactory()
    response = log_in(role).post(f"/admin/campaigns/campaign/{campaign.pk}/change/", {"name": "Other"})
    assert (response.status_code == 403) == (not may)


@pytest.mark.parametrize(("role", "may"), [(VIEWER, False), (MANAGER, True), (ADMIN, True)])
def test_who_puts_numbers_on_the_do_not_call_list(log_in, role, may):
    log_in(role).post("/admin/contacts/donotcallentry/add/", {"phone_number": "+12025550123", "reason": ""})
    assert DoNotCallEntry.objects.exists() == may


@pytest.mark.parametrize(("role", "may"), [(VIEWER, False), (MANAGER, False), (ADMIN, True)])
def test_who_takes_numbers_off_the_do_not_call_list(log_in, role, may):
    entry = DoNotCallEntryFactory()
    client = log_in(role)
    client.post(f"/admin/contacts/donotcallentry/{entry.pk}/delete/", {"confirmed": "yes", "reason": "Asked to."})
    assert DoNotCallEntry.objects.exists() == (not may)
    other = DoNotCallEntryFactory()
    for action in ("delete_selected", "remove_selected"):
        chosen = {"action": action, "_selected_action": [other.pk], "confirmed": "yes", "post": "yes", "reason": "So."}
        client.post("/admin/contacts/donotcallentry/", chosen)
    assert DoNotCallEntry.objects.filter(pk=other.pk).exists() == (not may)


@pytest.mark.parametrize(("role", "may"), [(VIEWER, False), (MANAGER, False), (ADMIN, True)])
def test_who_erases_people(log_in, role, may):
    contact = ContactFactory()
    client = log_in(role)
    data = {"step": "erase", "phone_number": contact.phone_number, "reason": "Asked by letter."}
    assert (client.post("/admin/contacts/contact/erase/", data).status_code == 403) == (not may)
    contact.refresh_from_db()
    assert bool(contact.erased_at) == may
    listed = client.get("/admin/contacts/contact/").content.decode()
    assert ("/admin/contacts/contact/erase/" in listed) == may


@pytest.mark.parametrize(("role", "may"), [(VIEWER, False), (MANAGER, True), (ADMIN, True)])
def test_who_excludes_contacts_from_their_list(log_in, role, may):
    contact = ContactFactory()
    data = {"action": "exclude_selected", "_selected_action": [contact.pk], "confirmed": "yes"}
    log_in(role).post("/admin/contacts/contact/", data)
    assert Contact.objects.get().do_not_call == may


@pytest.mark.parametrize(("role", "may"), [(VIEWER, False), (MANAGER, False), (ADMIN, True)])
def test_who_changes_the_provider(log_in, role, may):
    page = f"/admin/calls/providerconfig/{ProviderConfig.objects.get().pk}/change/"
    client = log_in(role)
    assert client.get(page).status_code == 200
    assert (client.post(page, {}).status_code == 403) == (not may)


@pytest.mark.parametrize("role", [VIEWER, MANAGER, ADMIN])
def test_nobody_changes_what_happened(log_in, role):
    attempt = CallAttemptFactory()
    page = f"/admin/calls/callattempt/{attempt.pk}"
    client = log_in(role)
    assert client.get(f"{page}/change/").status_code == 200
    assert client.post(f"{page}/change/", {}).status_code == 403
    assert client.post(f"{page}/delete/", {"post": "yes"}).status_code == 403


def test_an_admin_gives_roles_and_makes_nobody_a_superuser(log_in):
    client = log_in(ADMIN)
    user = User.objects.create_user("new", password="-")
    page = f"/admin/auth/user/{user.pk}/change/"
    form = {"username": "new", "is_active": "on", "is_staff": "on", "groups": [Group.objects.get(name=MANAGER).pk]}
    form |= {"is_superuser": "on", "user_permissions": [Permission.objects.get(codename="delete_user").pk]}
    assert client.post(page, form).status_code == 302
    user.refresh_from_db()
    assert (user.is_staff, user.is_superuser, user.user_permissions.count()) == (True, False, 0)
    assert [group.name for group in user.groups.all()] == [MANAGER]


def test_a_new_user_gets_a_role_and_may_sign_in(log_in):
    client = log_in(ADMIN)
    page = client.get("/admin/auth/user/add/")
    assert page.context["adminform"].form["is_staff"].value() is True
    password = "a-long-way-to-the-library"
    form = {"username": "new", "password1": password, "password2": password, "is_staff": "on"}
    form |= {"groups": [Group.objects.get(name=VIEWER).pk]}
    assert client.post("/admin/auth/user/add/", form).status_code == 302
    user = User.objects.get(username="new")
    assert (user.is_staff, [group.name for group in user.groups.all()]) == (True, [VIEWER])
    client.logout()
    assert client.post("/admin/login/?next=/admin/", {"username": "new", "password": password}).status_code == 302


def test_an_admin_gives_nobody_a_group_that_is_no_role_and_takes_none(log_in):
    client = log_in(ADMIN)
    own, other = Group.objects.create(name="own"), Group.objects.create(name="other")
    user = User.objects.create_user("new", password="-")
    user.groups.add(own)
    page, role = f"/admin/auth/user/{user.pk}/change/", Group.objects.get(name=MANAGER)
    form = {"username": "new", "is_active": "on", "is_staff": "on"}
    assert client.post(page, form | {"groups": [other.pk]}).status_code == 200  # with an error beside the field
    assert client.post(page, form | {"groups": [role.pk]}).status_code == 302
    assert {group.name for group in user.groups.all()} == {"own", MANAGER}


def test_a_superuser_gives_any_group(admin_client):
    user, group = User.objects.create_user("new", password="-"), Group.objects.create(name="other")
    form = {"username": "new", "is_active": "on", "groups": [group.pk]} | dict(
        zip(("date_joined_0", "date_joined_1"), ("2026-03-04", "12:00"), strict=True)
    )
    assert admin_client.post(f"/admin/auth/user/{user.pk}/change/", form).status_code == 302
    assert [one.name for one in user.groups.all()] == ["other"]
    assert admin_client.post(f"/admin/auth/user/{user.pk}/change/", form | {"groups": []}).status_code == 302
    assert not user.groups.exists()


def test_an_admin_does_not_take_a_superusers_place(log_in, admin_user):
    client = log_in(ADMIN)
    for page in ("change", "password"):
        response = client.post(
            f"/admin/auth/user/{admin_user.pk}/{page}/", {"password1": "another-1x", "password2": "another-1x"}
        )
        assert response.status_code == 403
    admin_user.refresh_from_db()
    assert admin_user.check_password("password")


def test_who_was_refused_what_is_logged(log_in):
    with capture_logs() as logs:
        log_in(VIEWER).get("/admin/auth/user/")
    [refusal] = [entry for entry in logs if entry["event"] == "access.refused"]
    assert (refusal["user"], refusal["path"], refusal["method"]) == ("a-viewer", "/admin/auth/user/", "GET")
    assert refusal["address"] == "127.0.0.1"


def test_who_is_not_logged_in_is_sent_to_log_in(client):
    assert client.get("/admin/contacts/contact/").headers["Location"].startswith("/admin/login/")


def try_to_log_in(client, password, username="an-operator"):
    return client.post("/admin/login/?next=/admin/", {"username": username, "password": password})


def test_who_guesses_a_password_is_locked_out_for_a_while(client, time_machine):
    time_machine.move_to("2026-03-04T12:00:00Z", tick=False)
    User.objects.create_user("an-operator", password="the-password", is_staff=True)
    User.objects.create_user("another", password="the-password", is_staff=True)
    for _ in range(5):
        response = try_to_log_in(client, "a-guess")
    assert response.status_code == 429
    assert "was wrong 5 times" in response.content.decode()
    assert try_to_log_in(client, "the-password").status_code == 429
    assert try_to_log_in(client, "the-password", username="another").status_code == 302
    client.logout()
    time_machine.move_to("2026-03-04T12:16:00Z", tick=False)
    assert try_to_log_in(client, "the-password").status_code == 302
