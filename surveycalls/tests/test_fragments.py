"""What a page asks for in the background when nobody is signed in any more."""

import pytest

from campaigns.tests.factories import CampaignFactory

pytestmark = pytest.mark.django_db

PAGE = "http://testserver/admin/campaigns/campaign/?q=spring"


@pytest.fixture
def dialog():
    return f"/admin/campaigns/campaign/{CampaignFactory(status='running').pk}/pause/"


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_dialog_leads_to_the_login_and_back_to_its_page(client, dialog, method):
    response = getattr(client, method)(dialog, headers={"HX-Request": "true", "HX-Current-URL": PAGE})
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["HX-Redirect"] == "/admin/login/?next=%2Fadmin%2Fcampaigns%2Fcampaign%2F%3Fq%3Dspring"


def test_a_page_that_is_opened_is_sent_to_the_login_as_ever(client, dialog):
    assert client.get(dialog).headers["Location"].startswith("/admin/login/")


def test_who_is_signed_in_gets_the_dialog(admin_client, dialog):
    response = admin_client.get(dialog, headers={"HX-Request": "true", "HX-Current-URL": PAGE})
    assert "Pause this campaign?" in response.content.decode()
