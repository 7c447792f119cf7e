
import calls.models
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('calls', '0003_a_provider_counts_its_claims'),
        ('campaigns', '0001_initial'),
        ('contacts', '0002_fewer_indexes_to_write_at_a_claim'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='callattempt',
            name='attempt_one_open_per_contact',
        ),
        migrations.RemoveConstraint(
            model_name='callattempt',
            name='attempt_one_open_per_phone_number',
        ),
        migrations.RemoveIndex(
            model_name='callattempt',
            name='attempt_open',
        ),
        migrations.AlterField(
            model_name='callattempt',
            name='call_id',
            field=models.CharField(default=calls.models.make_call_id, max_length=32),
        ),
        migrations.AddConstraint(
            model_name='callattempt',
            constraint=models.UniqueConstraint(fields=('call_id',), name='attempt_call_id_is_unique'),
        ),
        migrations.AddConstraint(
            model_name='callattempt',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('contact',), name='attempt_one_open_per_contact'),
        ),
        migrations.AddConstraint(
            model_name='callattempt',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('phone_number',), name='attempt_one_open_per_phone_number'),
        ),
    ]
