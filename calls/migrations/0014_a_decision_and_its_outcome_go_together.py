from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("calls", "0013_who_listened_to_the_end_has_decided")]

    operations = [
        migrations.AddConstraint(
            model_name='callattempt',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('ended_at__isnull', False), ('status', 'ended'), models.Q(('outcome', ''), _negated=True)), models.Q(models.Q(('status', 'ended'), _negated=True), ('ended_at', None)), _connector='OR'), name='attempt_has_an_outcome_when_it_ends'),
        ),
        migrations.AddConstraint(
            model_name='callattempt',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', False), ('outcome__in', ['completed', 'refused'])), models.Q(models.Q(('outcome__in', ['completed', 'refused']), _negated=True), ('decided_at', None), models.Q(models.Q(('ended_at', None), _negated=True), ('outcome', ''), _connector='OR')), _connector='OR'), name='attempt_is_decided_by_the_person'),
        ),
    ]
