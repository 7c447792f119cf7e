"""The provider's addresses, below /webhooks/telephony/."""

from django.urls import path

from calls.webhooks import answer_call, finish_call, receive_event

urlpatterns = [
    path("events", receive_event, name="telephony-events"),
    path("voice", answer_call, name="telephony-voice"),
    path("voice/end", finish_call, name="telephony-voice-end"),
]
