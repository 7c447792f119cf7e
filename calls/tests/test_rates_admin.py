"""The page of a campaign's rates, and the lists that its counts lead to."""

import re
from html import unescape

import pytest
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils.html import strip_tags

from calls import dispositions
from calls.dispositions import DISPOSITIONS
from calls.recollection import recollection
from calls.tests.conftest import NOON
from calls.tests.factories import CallAttemptFactory
from campaigns.tests.factories import CampaignFactory
from contacts.tests.factories import ContactFactory

pytestmark = pytest.mark.django_db


def rates_of(campaign):
    return reverse("admin:campaigns_campaign_rates", args=[campaign.pk])


def read(client, url):
    """The page of this moment: what was counted for another one is forgotten."""
    recollection.forget()
    response = client.get(url)
    assert response.status_code == 200
    return response.content.decode()


def tell(html):
    """The text of a page, each run of blanks as one."""
    return " ".join(unescape(strip_tags(html)).split())


def make_contacts(campaign, count, state="not_reached", outcome=None, **values):
    for contact in ContactFactory.create_batch(count, campaign=campaign, state=state, next_attempt_at=None, **values):
        if outcome:
            CallAttemptFactory(contact=contact, outcome=outcome)


@pytest.fixture
def campaign():
    """Of 12 contacts 4 complete, 2 refusals, 1 busy, 2 that did not answer, 1 not called, and 2 not eligible."""
    campaign = CampaignFactory(name="Library")
    make_contacts(campaign, 4, "completed", "completed")
    make_contacts(campaign, 2, "refused", "refused")
    make_contacts(campaign, 1, outcome="busy")
    make_contacts(campaign, 2, outcome="no_answer")
    ContactFactory(campaign=campaign)
    make_contacts(campaign, 1, "excluded", do_not_call=True)
    make_contacts(campaign, 1, outcome="failed", number_rejected=True)
    make_contacts(CampaignFactory(), 3, "completed", "completed")
    return campaign


def test_the_page_shows_dispositions_and_each_rate_with_its_formula_in_symbols_and_in_numbers(admin_client, campaign):
    page = tell(read(admin_client, rates_of(campaign)))
    assert "Rates: Library" in page
    assert "1.1 Complete" in page and "4.30 Not in service" in page
    # 4 / ((4 + 0) + (2 + 0 + 0) + (4 + 0)) = 40%
    assert "RR1 40.0% I / ((I + P) + (R + NC + O) + (UH + UO)) 4 / ((4 + 0) + (2 + 0 + 0) + (4 + 0))" in page
    # e = 6 / 8; 4 / (4 + 2 + 0.75 * 4) = 4 / 9
    assert "(4 + 0 + 2 + 0 + 0) / (4 + 0 + 2 + 0 + 0 + 2)" in page
    assert "RR3 44.4%" in page and "4 / ((4 + 0) + (2 + 0 + 0) + 0.750 × (4 + 0))" in page
    assert "COOP1 66.7%" in page and "REF3 33.3%" in page and "CON3 100.0%" in page


def test_what_cannot_be_reckoned_yet_says_so(admin_client):
    campaign = CampaignFactory()
    assert "RR1 not defined yet" in tell(read(admin_client, rates_of(campaign)))
    ContactFactory(campaign=campaign)
    page = tell(read(admin_client, rates_of(campaign)))
    assert "RR1 0.0%" in page and "e not defined yet" in page and "RR3 not defined yet" in page


def test_numbers_are_written_as_the_language_has_them(admin_client, campaign):
    admin_client.cookies["django_language"] = "it"
    assert "40,0%" in tell(read(admin_client, rates_of(campaign)))


@pytest.mark.parametrize(("name", "counts"), [("dispositions", [4, 2, 1, 1, 2, 1, 1]), ("symbols", [4, 2, 4, 2])])
def test_each_count_leads_to_the_list_of_exactly_those_contacts(admin_client, campaign, name, counts):
    page = read(admin_client, rates_of(campaign))
    table = page[page.index(f'id="{name}"') :].partition("</table>")[0]
    links = re.findall(r'<a href="([^"]*)">(\d+)</a>', table)
    assert [int(count) for _, count in links] == counts
    for url, count in links:
        found = admin_client.get(unescape(url)).context["cl"].queryset
        assert found.count() == int(count)
        assert {contact.campaign_id for contact in found} == {campaign.pk}


def test_a_list_by_disposition_can_be_narrowed_down_further(admin_client, campaign):
    number = campaign.contacts.filter(state="refused").first().phone_number
    url = reverse("admin:contacts_contact_changelist")
    asked = {"campaign__id__exact": campaign.pk, "disposition": "refusal", "q": number}
    assert [contact.phone_number for contact in admin_client.get(url, asked).context["cl"].queryset] == [number]
    assert not admin_client.get(url, asked | {"disposition": "complete"}).context["cl"].queryset


@pytest.mark.parametrize("sample", [2000, 1])
def test_a_list_by_symbol_can_be_narrowed_down_to_a_disposition(admin_client, campaign, monkeypatch, sample):
    monkeypatch.setattr(dispositions, "SAMPLE", sample)
    monkeypatch.setattr(dispositions, "FREQUENT", 0)
    url = reverse("admin:contacts_contact_changelist")
    asked = {"campaign__id__exact": campaign.pk, "counts_as": "UH"}
    found = [
        admin_client.get(url, asked | more).context["cl"].queryset.count()
        for more in ({}, {"disposition": "busy"}, {"disposition": "complete"}, {"state__exact": "pending"})
    ]
    assert found == [4, 1, 0, 1]


@pytest.mark.parametrize(
    "asked",
    [{"disposition": "complete"}, {"campaign__id__exact": "x", "disposition": "complete"}, {"counts_as": "I"}],
)
def test_without_a_campaign_there_is_no_choice_of_dispositions(admin_client, campaign, asked):
    page = admin_client.get(reverse("admin:contacts_contact_changelist"), asked, follow=True)
    assert page.status_code == 200
    assert "2.12 Break-off" not in page.content.decode() and "NC: non-contacts" not in page.content.decode()


def test_a_chosen_campaign_offers_all_dispositions(admin_client, campaign):
    url = reverse("admin:contacts_contact_changelist")
    page = read(admin_client, f"{url}?campaign__id__exact={campaign.pk}")
    assert all(f"{one.code} {one.title}" in page for one in DISPOSITIONS.values())
    assert "NC: non-contacts" in page and "UO: " not in page
    for name in ("disposition", "counts_as"):
        assert admin_client.get(url, {"campaign__id__exact": campaign.pk, name: "?"}).status_code == 200


def test_to_show_counts_beside_the_filters_reads_no_calls(admin_client, campaign):
    url = reverse("admin:contacts_contact_changelist")
    with CaptureQueriesContext(connection) as queries:
        page = admin_client.get(url, {"campaign__id__exact": campaign.pk, "_facets": "True"}).content.decode()
    assert "NC: non-contacts" in page and "Completed (4)" in page
    assert not any("calls_callattempt" in query["sql"] for query in queries)


def test_it_says_whether_the_rates_may_still_change_and_leads_to_those_who_are_left(admin_client, campaign):
    page = read(admin_client, rates_of(campaign))
    assert "1 contact is still to be called or in a call, so these rates are provisional." in page
    [url] = re.findall(r'href="([^"]*)">Still to be called', page)
    assert [contact.state for contact in admin_client.get(unescape(url)).context["cl"].queryset] == ["pending"]
    make_contacts(campaign, 1, "in_progress")
    assert "2 contacts are still to be called or in a call" in read(admin_client, rates_of(campaign))
    campaign.status = "cancelled"
    campaign.save()
    page = read(admin_client, rates_of(campaign))
    assert "The campaign was cancelled before 2 contacts were done; these rates are final." in page
    campaign.contacts.filter(state__in=["pending", "in_progress"]).delete()
    assert "Nobody is left to call, so these rates are final." in read(admin_client, rates_of(campaign))


def test_the_page_asks_the_same_however_many_contacts_there_are(admin_client, campaign):
    read(admin_client, rates_of(campaign))
    with CaptureQueriesContext(connection) as few:
        read(admin_client, rates_of(campaign))
    make_contacts(campaign, 20, outcome="busy")
    make_contacts(campaign, 5, "excluded", do_not_call=True)
    with CaptureQueriesContext(connection) as many:
        read(admin_client, rates_of(campaign))
    assert len(many) == len(few)
    assert sum("calls_callattempt" in query["sql"] for query in many) == 1


@pytest.mark.parametrize("role", ["viewer", "campaign_manager", "admin"])
def test_every_role_sees_the_rates_and_is_led_to_them(client, django_user_model, campaign, role):
    user = django_user_model.objects.create_user("somebody", password="-", is_staff=True)
    user.groups.add(Group.objects.get(name=role))
    client.force_login(user)
    page = read(client, rates_of(campaign))
    assert "disposition=complete" in page and "counts_as=I" in page
    assert f'href="{rates_of(campaign)}"' in read(
        client, reverse("admin:campaigns_campaign_change", args=[campaign.pk])
    )


def sign_in(client, django_user_model, *codenames):
    user = django_user_model.objects.create_user("somebody", password="-", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(user)


@pytest.mark.parametrize("missing", ["view_campaign", "view_callattempt"])
def test_who_may_not_see_campaigns_and_calls_does_not_see_the_rates(client, django_user_model, campaign, missing):
    sign_in(client, django_user_model, *{"view_campaign", "view_callattempt", "view_contact"} - {missing})
    assert client.get(rates_of(campaign)).status_code == 403
    client.logout()
    assert client.get(rates_of(campaign)).status_code == 302


def test_who_may_not_see_contacts_is_not_led_to_them(client, django_user_model, campaign):
    sign_in(client, django_user_model, "view_campaign", "view_callattempt")
    page = read(client, rates_of(campaign))
    assert "RR1" in page
    assert not [word for word in ("disposition=", "next=waiting", "counts_as=") if word in page]


def test_what_takes_long_to_count_is_not_counted_again_at_once(admin_client, campaign, monkeypatch):
    monkeypatch.setattr("calls.recollection.REST", 10_000)
    assert "Counted at " in read(admin_client, rates_of(campaign))
    with CaptureQueriesContext(connection) as again:
        admin_client.get(rates_of(campaign))
    assert not any("calls_callattempt" in query["sql"] for query in again)


def test_a_campaign_that_does_not_exist_has_no_rates(admin_client):
    campaign = CampaignFactory()
    url = rates_of(campaign)
    campaign.delete()
    assert admin_client.get(url).status_code == 404


def test_a_break_off_is_told_by_its_call(admin_client):
    campaign = CampaignFactory()
    contact = ContactFactory(campaign=campaign, state="not_reached")
    CallAttemptFactory(contact=contact, answered_at=NOON, consented_at=NOON)
    url = reverse("admin:contacts_contact_changelist")
    found = admin_client.get(url, {"campaign__id__exact": campaign.pk, "disposition": "break_off"})
    assert [*found.context["cl"].queryset] == [contact]


def test_a_list_of_what_many_have_is_read_in_its_own_order(admin_client, campaign, monkeypatch):
    monkeypatch.setattr(dispositions, "SAMPLE", 1)
    monkeypatch.setattr(dispositions, "FREQUENT", 0)
    url = reverse("admin:contacts_contact_changelist")
    page = admin_client.get(url, {"campaign__id__exact": campaign.pk, "disposition": "complete"})
    numbers = list(campaign.contacts.filter(state="completed").order_by("-pk").values_list("phone_number", flat=True))
    assert [contact.phone_number for contact in page.context["cl"].result_list] == numbers
    assert "4 contacts" in page.content.decode()
