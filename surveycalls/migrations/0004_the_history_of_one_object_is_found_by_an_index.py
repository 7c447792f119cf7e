from django.db import migrations

# Django keeps the history by user and type only; the story of a contact asks for one among all that was ever written.
INDEXES = {"history_of_object": "content_type_id, object_id", "history_by_name": "content_type_id, object_repr"}


class Migration(migrations.Migration):
    dependencies = [
        ("surveycalls", "0003_labels_of_fields"),
        ("admin", "0003_logentry_add_action_flag_choices"),
    ]

    operations = [
        migrations.RunSQL(f"CREATE INDEX {name} ON django_admin_log ({columns})", f"DROP INDEX {name}")
        for name, columns in INDEXES.items()
    ]
