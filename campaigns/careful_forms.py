"""Forms that take back nobody else's edit, and tell what was changed."""

from collections.abc import Mapping
from datetime import datetime, time
from hashlib import blake2b
from typing import Any

from django import forms
from django.db.models import Field, Model
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext, pgettext

# What is longer is not repeated in what is told of a change.
LONGEST_VALUE = 40


def take_fingerprint(value: Any) -> str:
    return blake2b(repr(value).encode(), digest_size=6).hexdigest()


class SeenField(forms.CharField):
    """What the page showed, sent back with it: a fingerprint of each field's value."""

    widget = forms.HiddenInput

    def __init__(self) -> None:
        super().__init__(required=False, label="")

    def to_python(self, value: str | None) -> dict[str, str]:
        return dict(pair.partition(":")[::2] for pair in (value or "").split())

    def prepare_value(self, value: Mapping[str, str] | str | None) -> str | None:
        return " ".join(map(":".join, value.items())) if isinstance(value, Mapping) else value

    def has_changed(self, initial: Any, data: Any) -> bool:
        return False


class CarefulForm(forms.ModelForm):
    """Says what somebody else has changed since the page was opened, and takes it back only when it is sent again.

    To be used in the transaction that saves it. ``stored`` is then the row as it was before, locked.
    """

    stored: Model | None = None

    seen = SeenField()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        values = {field.name: field.value_from_object(self.instance) for field in self._model_fields()}
        self.initial["seen"] = {name: take_fingerprint(value) for name, value in values.items()}

    def check_edit(self, seen: dict[str, str]) -> None:
        """Add what else is wrong with a change of ``stored``. What is put into ``seen`` comes back with the form."""

    def describe_changes(self) -> list[str]:
        """The label of each field that was changed, with its values where they are short."""
        return [self._describe_change(name) for name in self.changed_data]

    def write_value(self, value: Any) -> str:
        if isinstance(value, datetime):
            return date_format(timezone.localtime(value), "DATETIME_FORMAT")
        if isinstance(value, time):
            return f"{value:%H:%M}"
        return pgettext("value", "none") if value in (None, "") else str(value)

    def _describe_change(self, name: str) -> str:
        field = self.fields[name]
        values = self.get_initial_for_field(field, name), self.cleaned_data[name]
        texts = [self._write(field, value) for value in values]
        if isinstance(values[1], list | Model) or any(len(text) > LONGEST_VALUE for text in texts):
            return str(field.label)
        return f"{field.label} ({texts[0]} → {texts[1]})"

    def _post_clean(self) -> None:
        # Not in clean(): only now does the instance have what was written in the form.
        super()._post_clean()
        if self.instance._state.adding:
            return
        self.stored = self._meta.model.objects.select_for_update(no_key=True).get(pk=self.instance.pk)
        seen = dict(self.cleaned_data.get("seen", {}))
        self._refuse_to_take_back(seen)
        if not self.errors:
            self.check_edit(seen)
        self.data = self.data.copy()  # a request's cannot be changed
        self.data[self.add_prefix("seen")] = self.fields["seen"].prepare_value(seen)

    def _write(self, field: forms.Field, value: Any) -> str:
        """As the page shows it: of a choice its label."""
        shown = value if isinstance(value, Model) else field.prepare_value(value)
        if isinstance(field, forms.ChoiceField) and isinstance(shown, str) and shown:
            return str(dict(field.choices).get(shown, shown))
        return self.write_value(shown)

    def _model_fields(self) -> list[Field]:
        return [field for field in self._meta.model._meta.fields if field.name in self.fields]

    def _refuse_to_take_back(self, seen: dict[str, str]) -> None:
        """Say what somebody else has changed since the page was opened; what is sent again after that is meant."""
        for name, value in ((field.name, field.value_from_object(self.stored)) for field in self._model_fields()):
            if seen.get(name, present := take_fingerprint(value)) == present:
                continue
            written = self.cleaned_data.get(name)
            if name in self.cleaned_data and (written.pk if isinstance(written, Model) else written) != value:
                self.add_error(name, self._tell_of_change(name, getattr(self.stored, name)))
                seen[name] = present

    def _tell_of_change(self, name: str, value: Any) -> str:
        text = self._write(self.fields[name], value)
        if isinstance(value, list) or len(text) > LONGEST_VALUE:
            return gettext("Somebody else has changed this meanwhile. To keep what stands here instead, save again.")
        problem = gettext(
            "Somebody else has changed this meanwhile, to: %(value)s. To keep what stands here instead, save again."
        )
        return problem % {"value": text}
