"""The provider's addresses, below /webhooks/telephony/."""

from django.urls import path

from calls.webhooks import answer_call, hear_answer, hear_consent, receive_event

urlpatterns = [
    path("events", receive_event, name="telephony-events"),
    path("voice", answer_call, name="telephony-voice"),
    path("voice/consent", hear_consent, name="telephony-voice-consent"),
    path("voice/question", hear_answer, name="telephony-voice-question"),
]
