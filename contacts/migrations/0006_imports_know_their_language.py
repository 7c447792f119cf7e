from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('contacts', '0005_people_can_be_erased'),
    ]

    operations = [
        migrations.AddField(
            model_name='contactimport',
            name='language',
            field=models.CharField(blank=True, db_default='', default='', editable=False, help_text='That of whoever uploaded it: what is wrong with its rows is written down in it.', max_length=10, verbose_name='language'),
        ),
    ]
