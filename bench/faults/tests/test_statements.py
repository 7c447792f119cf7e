"""What is told from statements, however they are laid out."""

import pytest

from bench.faults.statements import About, StatementReader


@pytest.mark.parametrize(
    ("sql", "params", "about"),
    [
        ("\n  SELECT id FROM calls_providerconfig\n  FOR NO KEY UPDATE SKIP LOCKED", None, About.LOCK),
        ("\n  UPDATE calls_callattempt SET status = %(to)s WHERE id = %(id)s", {"to": "queued", "id": 1}, About.RECORD),
        ('UPDATE "calls_callattempt" SET "status" = %s, "started_at" = %s', ("placing", 1), About.PLACING),
        ('UPDATE "calls_callattempt" SET "status" = %s WHERE "status" = %s', ("ended", "placing"), About.CHANGE),
        ("UPDATE calls_callattempt SET error_message = %s", ["status = 'queued'"], About.CHANGE),
        ('INSERT INTO "calls_answer" ("raw") VALUES (%s)', ("1",), About.CHANGE),
        ("SELECT * FROM calls_callattempt WHERE status = %s", ["placing"], None),
    ],
)
def test_a_statement_is_told_by_what_it_writes(sql, params, about):
    assert StatementReader().read(sql, params) is about


def test_what_was_prepared_is_told_when_it_is_executed():
    reader = StatementReader()
    prepared = "\n  PREPARE place (uuid, text) AS UPDATE calls_callattempt SET status = $2 WHERE id = $1"
    assert reader.read(prepared, None) is None
    assert reader.read("EXECUTE place (%s, %s)", ["id", "placing"]) is About.PLACING
    assert reader.read("EXECUTE other (%s)", ["placing"]) is None
