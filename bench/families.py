"""Every family of benchmarks by name, and where it is; imported only when it is measured."""

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec

from bench.figures import Figure

# Each function takes the scale of the sizes (1 is the real one) and yields figures as it has them.
FAMILIES = {
    "claim_scale": "bench.claims:measure_scale",
    "claim_adversarial": "bench.claims:measure_adversarial",
    "claim_bloat": "bench.claims:measure_bloat",
    "claim_limit": "bench.claims:measure_limit",
    "dispatch": "bench.dispatch:measure",
    "utilisation": "bench.utilisation:measure",
    "cps": "bench.cps:measure",
    "callbacks": "bench.callbacks:measure",
    "recovery": "bench.recovery:measure",
    "memory": "bench.memory:measure",
    "idle": "bench.idle:measure",
}


class UnknownFamily(Exception):
    """No family has this name."""


def choose_families(only: str | None) -> list[str]:
    """All of them, or those of a module ("claims"), or those whose name begins so ("claim_scale").

    Raises UnknownFamily.
    """
    chosen = [
        name
        for name, path in FAMILIES.items()
        if only is None or name.startswith(only) or path.startswith(f"bench.{only}:")
    ]
    if not chosen:
        raise UnknownFamily(f"No benchmark is called {only!r}; there are {', '.join(FAMILIES)}.")
    return chosen


def is_there(name: str) -> bool:
    module, _ = FAMILIES[name].split(":")
    return find_spec(module) is not None


def measure_family(name: str, scale: float) -> Iterable[Figure]:
    module, function = FAMILIES[name].split(":")
    return list(getattr(import_module(module), function)(scale))
