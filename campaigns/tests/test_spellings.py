from datetime import date, time, timedelta

import pytest
from django.utils.formats import date_format
from django.utils.translation import override

from campaigns.spellings import (
    MOST_BLOCKED,
    NEXT_DAY,
    format_dates,
    format_delays,
    format_spans,
    parse_dates,
    parse_delays,
    parse_spans,
    say_delays,
)


@pytest.mark.parametrize(
    ("text", "spans", "kept"),
    [
        ("9-12", [(time(9), time(12))], "09:00-12:00"),
        (
            "09:00 \u2013 12:30, 15:00-19:00",
            [(time(9), time(12, 30)), (time(15), time(19))],
            "09:00-12:30, 15:00-19:00",
        ),
        ("9.15 to 17h30", [(time(9, 15), time(17, 30))], "09:15-17:30"),
        ("0-24", [(time(0), None)], "00:00-24:00"),
        (
            "9-12; 12-14",
            [(time(9), time(12)), (time(12), time(14))],
            "09:00-12:00, 12:00-14:00",
        ),
        ("9 alle 12.30; 15 fino alle 19", [(time(9), time(12, 30)), (time(15), time(19))], "09:00-12:30, 15:00-19:00"),
        ("", [], ""),
    ],
)
def test_hours_are_read_in_usual_spellings_and_kept_in_one(text, spans, kept):
    assert list(parse_spans(text)) == spans
    assert format_spans(parse_spans(text)) == kept
    assert parse_spans(kept) == parse_spans(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("morning", "'morning' are no hours; write them such as 09:00-12:30."),
        ("9-25", "'9-25': there is no such time of day."),
        ("9:60-12", "'9:60-12': there is no such time of day."),
        ("24:00-24:00", "'24:00-24:00': there is no such time of day."),
        ("12-12", "'12-12' ends before it starts; hours that pass midnight belong to two days."),
        ("22-2", "'22-2' ends before it starts; hours that pass midnight belong to two days."),
        ("15-19, 9-12", "'15-19, 9-12': write the hours in their order; they may not overlap."),
        ("9-12, 11-14", "'9-12, 11-14': write the hours in their order; they may not overlap."),
        ("9-24, 23-24", "'9-24, 23-24': write the hours in their order; they may not overlap."),
    ],
)
def test_hours_that_make_no_sense_are_refused_with_what_to_write(text, reason):
    with pytest.raises(ValueError) as caught:
        parse_spans(text)
    assert str(caught.value) == reason


def test_days_are_read_one_by_one_and_in_ranges_and_shown_in_runs():
    text = "24/12/2026\n2026-12-26 to 2026-12-28, 25.12.2026; 1 January 2027\n\n2027-03-01..2027-03-02"
    assert parse_dates(text) == [
        *(date(2026, 12, day) for day in (24, 25, 26, 27, 28)),
        date(2027, 1, 1),
        date(2027, 3, 1),
        date(2027, 3, 2),
    ]
    assert format_dates(parse_dates(text)) == "2026-12-24 to 2026-12-28\n2027-01-01\n2027-03-01 to 2027-03-02"
    assert parse_dates(format_dates(parse_dates(text))) == parse_dates(text)
    assert parse_dates("") == [] and format_dates([]) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("Christmas", "'Christmas' is no date; write it such as 2026-12-24."),
        ("2026-02-30", "'2026-02-30' is no date; write it such as 2026-12-24."),
        ("05/06/2027", "'05/06/2027' may be 2027-06-05 or 2027-05-06; write which of them it is."),
        ("12/24/2026", "'12/24/2026' is no date; write it such as 2026-12-24."),
        ("2026-12-26 to 2026-12-24", "'2026-12-26 to 2026-12-24' ends before it begins."),
        ("2026-01-01 to 9999-12-31", f"These are more than {MOST_BLOCKED} days; end the campaign instead."),
    ],
)
def test_days_that_cannot_be_read_are_refused_with_what_to_write(text, reason):
    with pytest.raises(ValueError) as caught:
        parse_dates(text)
    assert str(caught.value) == reason


def test_every_day_that_cannot_be_read_is_named():
    with pytest.raises(ValueError) as caught:
        parse_dates("Christmas\n2026-12-24\n2026-02-30, 2026-12-26 to 2026-12-24")
    assert caught.value.args == (
        "'Christmas' is no date; write it such as 2026-12-24.",
        "'2026-02-30' is no date; write it such as 2026-12-24.",
        "'2026-12-26 to 2026-12-24' ends before it begins.",
    )


def test_slashes_are_read_where_they_can_be_one_day_only():
    assert parse_dates("05/05/2027, 13/06/2027, 05.06.2027") == [
        date(2027, 5, 5),
        date(2027, 6, 5),
        date(2027, 6, 13),
    ]
    with override("it"):
        assert parse_dates("05/06/2027") == [date(2027, 6, 5)]


@pytest.mark.parametrize(
    "text",
    [
        "24 dicembre 2026 al 26 dicembre 2026",
        "24 dic 2026 fino al 26 dic 2026",
        "24/12/2026 a 26/12/2026",
        "24 Dec 2026 to 26 DICEMBRE 2026",
        "2026-12-24 al 2026-12-26",
    ],
)
def test_days_are_read_in_italian_too(text):
    assert parse_dates(text) == [date(2026, 12, day) for day in (24, 25, 26)]


def test_every_month_is_read_by_its_italian_name_and_its_first_three_letters():
    days = [date(2027, month, 1) for month in range(1, 13)]
    with override("it"):
        names = [date_format(day, "F") for day in days]
    assert parse_dates("\n".join(f"1\u00b0 {name} 2027" for name in names)) == days
    assert parse_dates("\n".join(f"1 {name[:3]} 2027" for name in names)) == days


def test_every_english_month_is_still_itself():
    for form in ("%d %B %Y", "%d %b %Y"):
        days = [date(2027, month, 1) for month in range(1, 13)]
        assert parse_dates("\n".join(day.strftime(form) for day in days)) == days


def test_what_a_reader_of_italian_sees_is_read_again():
    days = [date(2026, 12, 24), date(2026, 12, 25), date(2027, 1, 1)]
    delays = (timedelta(minutes=5), timedelta(hours=2), timedelta(days=3), NEXT_DAY)
    with override("it"):
        assert format_dates(days) == "2026-12-24 al 2026-12-25\n2027-01-01"
        assert say_delays(delays) == "5 min, 2 h, 3 g, giorno dopo"
        assert format_delays(delays) == "5 min, 2 h, 3 d, next day"
        assert (parse_dates(format_dates(days)), parse_delays(say_delays(delays))) == (days, delays)


def test_a_refusal_is_in_the_language_of_whoever_reads_it_however_often_the_text_was_refused():
    reasons = []
    for language in ("en", "it"):
        with override(language), pytest.raises(ValueError) as caught:
            parse_delays("presto")
        reasons.append(str(caught.value))
    assert reasons == [
        "'presto' is no interval; write it such as 5 min, 2 h or next day.",
        "'presto' non è un intervallo; scriverlo come 5 min, 2 h o giorno dopo.",
    ]


def test_a_whole_leap_year_may_be_blocked():
    assert len(parse_dates("2028-01-01 to 2028-12-31")) == MOST_BLOCKED


@pytest.mark.parametrize(
    ("text", "delays", "kept"),
    [
        (
            "5 min, 2 h, next day",
            [timedelta(minutes=5), timedelta(hours=2), NEXT_DAY],
            "5 min, 2 h, next day",
        ),
        (
            "90m; 1 Hour; 2 days, tomorrow",
            [timedelta(minutes=90), timedelta(hours=1), timedelta(days=2), NEXT_DAY],
            "90 min, 1 h, 2 d, next day",
        ),
        (
            "5 minuti; 1 ora, 2 ore, 3 o, 2 giorni, 3g, Domani, il giorno dopo",
            [
                timedelta(minutes=5),
                *(timedelta(hours=hours) for hours in (1, 2, 3)),
                *(timedelta(days=days) for days in (2, 3)),
                *(NEXT_DAY, NEXT_DAY),
            ],
            "5 min, 1 h, 2 h, 3 h, 2 d, 3 d, next day, next day",
        ),
        ("0 min, 24h", [timedelta(0), timedelta(days=1)], "0 min, 1 d"),
        ("", [], ""),
    ],
)
def test_intervals_are_read_in_usual_spellings_and_kept_in_one(text, delays, kept):
    assert list(parse_delays(text)) == delays
    assert format_delays(parse_delays(text)) == kept
    assert parse_delays(kept) == parse_delays(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("soon", "'soon' is no interval; write it such as 5 min, 2 h or next day."),
        ("5", "'5' is no interval; write it such as 5 min, 2 h or next day."),
        ("5 months", "'5 months' is no interval; write it such as 5 min, 2 h or next day."),
        ("31 d", "'31 d' is longer than 30 days."),
        ("99999999999999999999 h", "'99999999999999999999 h' is longer than 30 days."),
        (", ".join(["1 h"] * 11), "These are more than 10 intervals."),
    ],
)
def test_intervals_that_make_no_sense_are_refused_with_what_to_write(text, reason):
    with pytest.raises(ValueError) as caught:
        parse_delays(text)
    assert str(caught.value) == reason
