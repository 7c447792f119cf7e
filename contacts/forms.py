"""Form fields for what operators write in their own way and we keep in one: numbers and zones."""

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminSelect2MultipleWidget, UnfoldAdminTextInputWidget

from campaigns.forms import name_zones
from contacts.phones import InvalidPhoneNumber, normalise_number


class PhoneNumberField(forms.CharField):
    """Takes +1 202-555-0123 and gives +12025550123; without a country code only if default_country is set."""

    widget = UnfoldAdminTextInputWidget
    default_country = ""

    def to_python(self, value: Any) -> str:
        text = super().to_python(value)
        if text in self.empty_values:
            return text
        try:
            return normalise_number(text, self.default_country)
        except InvalidPhoneNumber as exc:
            raise ValidationError(str(exc), code="phone_number") from exc


class CallingZonesField(forms.MultipleChoiceField):
    """Any number of zones, kept as one text with spaces between them."""

    widget = UnfoldAdminSelect2MultipleWidget

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(choices=name_zones, required=False, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return value.split() if isinstance(value, str) else value

    def clean(self, value: Any) -> str:
        return " ".join(sorted(super().clean(value)))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed((initial or "").split(), data)
