"""PURE: what a mail server means that does not take an e-mail. That it has not taken it is certain."""

import smtplib

REFUSALS = (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused)
Refusal = smtplib.SMTPResponseException | smtplib.SMTPRecipientsRefused

# It is closing; the recipient that it was told of last is not the reason.
SERVICE_NOT_AVAILABLE = 421


def is_for_good(error: Refusal) -> bool:
    """It does not want this recipient, or this content, and never will."""
    return not is_about_all(error) and not 400 <= _read_code(error) < 500


def is_about_all(error: Refusal) -> bool:
    """Whatever is sent now: it is closing, or does not want the sender, or us."""
    is_about_one = isinstance(error, smtplib.SMTPDataError | smtplib.SMTPRecipientsRefused)
    return not is_about_one or _read_code(error) == SERVICE_NOT_AVAILABLE


def _read_code(error: Refusal) -> int:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return next(code for code, _text in error.recipients.values())  # there is one
    return error.smtp_code
