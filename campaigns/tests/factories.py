import factory

from campaigns.models import Campaign, CampaignStatus, Question


class CampaignFactory(factory.django.DjangoModelFactory):
    """Running, all day, every day, in UTC: whatever a test does not set stands in no one's way."""

    class Meta:
        model = Campaign

    name = factory.Sequence(lambda n: f"Campaign {n}")
    status = CampaignStatus.RUNNING
    intro_script = "Good day. We call for the town library; it will take two minutes."
    time_zone = "UTC"


class QuestionFactory(factory.django.DjangoModelFactory):
    class Meta:
        model = Question

    campaign = factory.SubFactory(CampaignFactory)
    position = factory.Sequence(lambda n: n % 100 + 1)
    text_en = "How satisfied are you, from 1 to 5?"
    lowest = 1
    highest = 5


class AskingCampaignFactory(CampaignFactory):
    """With a question, without which none is started."""

    class Meta:
        skip_postgeneration_save = True

    question = factory.RelatedFactory(QuestionFactory, factory_related_name="campaign")
