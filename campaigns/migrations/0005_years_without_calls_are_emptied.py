from datetime import UTC, datetime

from django.db import migrations

FIRST, LAST = datetime(1999, 12, 31, tzinfo=UTC), datetime(2200, 1, 2, tzinfo=UTC)


def empty_years_without_calls(apps, schema_editor):
    """A start so early and an end so late are none; the others never let anything ring, as before."""
    campaigns = apps.get_model("campaigns", "Campaign").objects
    campaigns.filter(starts_at__lt=FIRST).update(starts_at=None)
    campaigns.filter(ends_at__gt=LAST).update(ends_at=None)
    campaigns.filter(ends_at__lt=FIRST).update(ends_at=FIRST)
    campaigns.filter(starts_at__gt=LAST).update(starts_at=LAST)


class Migration(migrations.Migration):
    dependencies = [("campaigns", "0004_labels_of_fields")]

    operations = [migrations.RunPython(empty_years_without_calls, migrations.RunPython.noop)]
