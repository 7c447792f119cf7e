"""Pages of a `campaigns.careful_forms.CarefulForm` in the admin."""

from typing import Any

from django.http import HttpRequest
from django.utils.translation import gettext

from campaigns.careful_forms import CarefulForm
from campaigns.history import in_language_of_the_record


class CarefulPages:
    """For an admin: its page says what it has shown, and its history what was changed, with the values."""

    change_form_before_template = "campaigns/seen.html"

    def construct_change_message(
        self, request: HttpRequest, form: CarefulForm, formsets: Any, add: bool = False
    ) -> Any:
        if add or not form.changed_data:
            return super().construct_change_message(request, form, formsets, add)
        with in_language_of_the_record():
            return gettext("Changed: %(fields)s.") % {"fields": ", ".join(form.describe_changes())}
