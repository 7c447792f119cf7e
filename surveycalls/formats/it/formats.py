"""The same as in English, where Django's Italian has seconds in no instant; the rest is Django's."""

DATE_FORMAT = "j b Y"
TIME_FORMAT = "H:i"
DATETIME_FORMAT = "j b Y, H:i:s"
SHORT_DATETIME_FORMAT = "d/m/Y H:i"
