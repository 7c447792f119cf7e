"""What the lists of deliveries and of e-mails show alike."""

from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from contacts.models import Contact


def link_to_contact(contact: Contact) -> SafeString:
    url = reverse("admin:contacts_contact_change", args=[contact.pk])
    return format_html('<a href="{}" class="text-link">{}</a>', url, contact)


def say_error(error: str) -> str:
    """In the reader's language; what was written down of it, such as the kind of a fault, stays as it is."""
    message, colon, detail = error.partition(": ")
    return f"{gettext(message)}{colon}{detail}" if message else "-"
