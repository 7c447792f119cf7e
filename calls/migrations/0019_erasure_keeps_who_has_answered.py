from django.db import migrations, models
from django.db.models.lookups import Exact

REST = "(%(expressions)s - ARRAY['answerer', 'answered_by', 'sip_response_code'])"
BACKWARD = "UPDATE calls_callattempt SET metadata = '{}' WHERE phone_number IS NULL AND metadata <> '{}'"


class Migration(migrations.Migration):
    """Every row that the constraint allowed before is allowed now; on the way back it takes what it did not allow."""

    dependencies = [("calls", "0018_events_are_of_known_words")]

    operations = [
        migrations.RemoveConstraint(model_name="callattempt", name="attempt_has_a_number_or_is_erased"),
        migrations.RunSQL(migrations.RunSQL.noop, BACKWARD),
        migrations.AddConstraint(
            model_name="callattempt",
            constraint=models.CheckConstraint(
                name="attempt_has_a_number_or_is_erased",
                condition=models.Q(phone_number__isnull=False)
                | models.Q(
                    Exact(
                        models.Func(models.F("metadata"), template=REST, output_field=models.JSONField()),
                        models.Value({}, output_field=models.JSONField()),
                    ),
                    status="ended",
                    provider_call_id="",
                    error_message="",
                ),
            ),
        ),
    ]
