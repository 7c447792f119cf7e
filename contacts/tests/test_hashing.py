import hashlib

import pytest

from contacts.hashing import HashKeyMissing, find_fingerprint, hash_number, hash_numbers

NUMBER = "+12025550123"
KEY = "a-key-for-tests-0123456789abcdefghij"


@pytest.fixture(autouse=True)
def key(settings):
    settings.DO_NOT_CALL_HASH_KEY = KEY


def test_a_hash_is_of_the_key_and_the_number():
    assert hash_number(NUMBER) == hashlib.sha256(f"{KEY}{NUMBER}".encode()).hexdigest()
    assert hash_numbers([NUMBER]) == {hash_number(NUMBER): NUMBER}


def test_another_key_gives_other_hashes_and_another_fingerprint(settings):
    before = hash_number(NUMBER), find_fingerprint()
    settings.DO_NOT_CALL_HASH_KEY = f"{KEY}1"
    assert hash_number(NUMBER) != before[0]
    assert find_fingerprint() != before[1]


def test_a_fingerprint_does_not_tell_the_key():
    assert len(find_fingerprint()) == 16
    assert KEY not in find_fingerprint()


def test_without_a_key_nothing_can_be_hashed_and_the_setting_is_named(settings):
    settings.DO_NOT_CALL_HASH_KEY = ""
    assert hash_numbers([NUMBER]) == {}
    for hashing in (lambda: hash_number(NUMBER), find_fingerprint):
        with pytest.raises(HashKeyMissing, match="DO_NOT_CALL_HASH_KEY"):
            hashing()
