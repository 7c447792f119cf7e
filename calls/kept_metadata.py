"""What of a call's metadata stays when the person is erased: words that name nobody, and on which rates hang."""

from django.db.models import F, Func, JSONField

# Who or what has answered, in our word and in the provider's, and what the telephone network said.
KEPT = ("answerer", "answered_by", "sip_response_code")


def keep_metadata() -> Func:
    """Of an attempt's, what stays."""
    pairs = ", ".join(f"'{name}', %(expressions)s -> '{name}'" for name in KEPT)
    return _make(f"jsonb_strip_nulls(jsonb_build_object({pairs}))")


def list_rest() -> Func:
    """Of an attempt's, what goes. In a constraint: a change of it is a migration."""
    names = ", ".join(f"'{name}'" for name in KEPT)
    return _make(f"(%(expressions)s - ARRAY[{names}])")


def _make(template: str) -> Func:
    return Func(F("metadata"), template=template, output_field=JSONField())
