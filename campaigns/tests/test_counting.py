import pytest
from django.utils.translation import override

from campaigns.counting import say_contacts


@pytest.mark.parametrize(
    ("count", "english", "italian"),
    [
        (0, "0 contacts", "0 contatti"),
        (1, "1 contact", "1 contatto"),
        (1234, "1,234 contacts", "1.234 contatti"),
        (10_001, "More than 10,000 contacts", "Più di 10.000 contatti"),
    ],
)
def test_contacts_are_counted_in_the_language_of_whoever_reads_it(count, english, italian):
    assert say_contacts(count) == english
    with override("it"):
        assert say_contacts(count) == italian
