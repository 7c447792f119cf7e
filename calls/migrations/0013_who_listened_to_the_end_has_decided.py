from django.db import migrations

FORWARD = """
    UPDATE calls_callattempt SET decided_at = NULL
    WHERE decided_at IS NOT NULL AND ended_at IS NOT NULL AND outcome NOT IN ('completed', 'refused');
    UPDATE calls_callattempt SET decided_at = ended_at
    WHERE decided_at IS NULL AND outcome IN ('completed', 'refused');
    UPDATE calls_callattempt SET outcome = 'completed' WHERE decided_at IS NOT NULL AND ended_at IS NULL;
"""
BACKWARD = "UPDATE calls_callattempt SET outcome = '' WHERE ended_at IS NULL AND outcome <> ''"


class Migration(migrations.Migration):
    """Of calls that were made before there were questions: listening to the end of the script was taking part."""

    dependencies = [("calls", "0012_a_person_decides_the_outcome_and_answers")]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
