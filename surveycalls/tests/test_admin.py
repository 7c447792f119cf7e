"""Background jobs, and the looks of every page."""

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission
from django.contrib.staticfiles import finders
from django.test import RequestFactory
from django.utils import timezone
from django_q.models import Failure, OrmQ, Schedule, Success

pytestmark = pytest.mark.django_db
KINDS = [Schedule, Success, Failure, OrmQ]


def page_of(model, what=""):
    return f"/admin/django_q/{model._meta.model_name}/{what}"


def make_job(model):
    if model is Schedule:
        return Schedule.objects.create(name="job", func="calls.tasks.reconcile")
    if model is OrmQ:
        return OrmQ.objects.create(key="surveycalls", payload="")
    now = timezone.now()
    return model.objects.create(
        id="0" * 32, name="job", func="calls.tasks.run", started=now, stopped=now, success=model is Success
    )


@pytest.fixture
def operator_client(client, django_user_model):
    """Staff with every permission, who is no superuser."""
    operator = django_user_model.objects.create_user("operator", password="operator", is_staff=True)
    operator.user_permissions.set(Permission.objects.all())
    client.force_login(operator)
    return client


@pytest.mark.parametrize("model", KINDS)
@pytest.mark.parametrize("who", ["operator_client", "admin_client"])
def test_background_jobs_are_only_read(request, who, model):
    client, job = request.getfixturevalue(who), make_job(model)
    for page in ("", f"{job.pk}/change/"):
        if model is not OrmQ:  # its pages unpack what it holds
            assert client.get(page_of(model, page)).status_code == 200
    form = {"name": "mine", "func": "os.system", "args": "('id',)", "schedule_type": "O", "repeats": "1"}
    assert client.post(page_of(model, "add/"), form).status_code == 403
    assert client.post(page_of(model, f"{job.pk}/change/"), form).status_code == 403
    model.objects.get(pk=job.pk)


@pytest.mark.parametrize("model", [Success, Failure])
def test_a_job_is_not_sent_again_by_hand(admin_client, model):
    job = make_job(model)
    admin_client.post(page_of(model), {"action": "resubmit_task", "_selected_action": [job.pk]})
    assert OrmQ.objects.count() == 0


@pytest.mark.parametrize(
    ("who", "model", "is_deleted"),
    [
        *[("operator_client", model, False) for model in KINDS],
        *[("admin_client", model, model is Failure) for model in KINDS],
    ],
)
def test_only_failed_jobs_are_deleted_and_only_by_superusers(request, who, model, is_deleted):
    client, job = request.getfixturevalue(who), make_job(model)
    client.post(page_of(model, f"{job.pk}/delete/"), {"post": "yes"})
    assert model.objects.filter(pk=job.pk).exists() is not is_deleted


def test_pages_name_a_symbol_that_exists(client):
    request = RequestFactory().get("/admin/")
    request.user = None
    (symbol,) = admin.site._get_favicons("SITE_FAVICONS", request)
    assert f'href="{symbol.href}"' in client.get("/admin/login/").content.decode()
    assert finders.find(symbol.href.removeprefix("/static/"))
