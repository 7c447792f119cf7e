from django.db import migrations

FORWARD = """
    ALTER TABLE calls_answer ADD CONSTRAINT answer_is_of_versions_question
    FOREIGN KEY (version_id, question_id) REFERENCES campaigns_questionversion (id, question_id)
    DEFERRABLE INITIALLY DEFERRED
"""
BACKWARD = "ALTER TABLE calls_answer DROP CONSTRAINT answer_is_of_versions_question"


class Migration(migrations.Migration):
    """Django's models know no foreign key of two columns."""

    dependencies = [
        ("calls", "0019_erasure_keeps_who_has_answered"),
        ("campaigns", "0013_versions_are_found_with_their_question"),
    ]

    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
