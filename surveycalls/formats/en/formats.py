"""24 hours, and seconds where an instant is shown: calls are told apart by them. The rest is Django's."""

TIME_FORMAT = "H:i"
DATETIME_FORMAT = "j M Y, H:i:s"
SHORT_DATETIME_FORMAT = "d/m/Y H:i"
