from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('surveycalls', '0001_audit'),
    ]

    operations = [
        migrations.RunSQL(
            sql="""
            CREATE FUNCTION surveycalls_keep_audit() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
                RAISE EXCEPTION 'Entries of the audit are neither changed nor deleted.';
            END
            $$;
            CREATE TRIGGER audit_is_never_changed BEFORE UPDATE OR DELETE ON surveycalls_auditentry
            FOR EACH ROW EXECUTE FUNCTION surveycalls_keep_audit();
            """,
            reverse_sql="""
            DROP TRIGGER audit_is_never_changed ON surveycalls_auditentry;
            DROP FUNCTION surveycalls_keep_audit();
            """,
        ),
    ]
