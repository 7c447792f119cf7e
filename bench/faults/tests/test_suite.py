"""What the suite makes of its runs."""

from collections import Counter

from bench.faults.__main__ import OFTEN, count_traps


def test_a_point_that_is_often_set_and_never_reached_is_a_hole():
    set_ = Counter({"scheduler.before_record": OFTEN, "web.report_ack": OFTEN - 1, "scheduler.before_lock": OFTEN})
    traps = count_traps(set_, Counter({"scheduler.before_lock": 1}))
    assert traps["never_reached"] == ["scheduler.before_record", "web.report_ack"]
    assert traps["unreachable"] == ["scheduler.before_record"]
