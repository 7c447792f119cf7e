"""What the people of the simulated phone network say, in their languages.

PURE. None of it is a person's: made up for this purpose.
"""

from .hearing import Spoken

YES: dict[Spoken, str] = {"en": "yes", "it": "sì"}
NO: dict[Spoken, str] = {"en": "no", "it": "no"}
REPEAT: dict[Spoken, str] = {"en": "repeat", "it": "ripeta"}
NEVER_AGAIN: dict[Spoken, str] = {"en": "do not call me", "it": "non chiamatemi"}

OPINIONS: dict[Spoken, tuple[str, ...]] = {
    "en": (
        "I am quite happy with it. I would not change much.",
        "It took too long until somebody called me back.",
        "The people were friendly, but nobody could really help me.",
        "Better opening hours, please. I work until six.",
        "It is too expensive for what it is.",
        "Nothing comes to mind.",
        "Everything was clear and quick. Thank you.",
        "I would like to hear about news by letter and not by phone.",
    ),
    "it": (
        "Sono abbastanza contento. Non cambierei molto.",
        "Ho aspettato troppo prima di essere richiamato.",
        "Le persone sono gentili, ma nessuno ha saputo aiutarmi davvero.",
        "Orari migliori, per favore. Io lavoro fino alle sei.",
        "Costa troppo per quello che offre.",
        "Non mi viene in mente niente.",
        "Tutto chiaro e veloce. Grazie.",
        "Preferirei ricevere le novità per posta e non per telefono.",
    ),
}
"""Answers to a question in own words."""

MISHEARD: dict[Spoken, tuple[str, ...]] = {
    "en": ("the bus", "hello there", "a guest", "made of tea", "sort of a hen", "is it you"),
    "it": ("la sedia", "pronto chi parla", "il pesce", "aspetta", "a casa", "dove siamo"),
}
"""What a recogniser makes of noise and mumbling: nothing that could be taken for an answer."""
