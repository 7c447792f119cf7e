"""Every family of benchmarks by name, and where it is; imported only when it is measured."""

from collections.abc import Collection, Iterable, Sequence
from importlib import import_module
from multiprocessing.connection import Connection

from bench.interruption import end_at_signals

# Each function takes what its module's set_up() has opened, and the scale of the sizes (1 is the real one), and yields
# figures whose names begin with the family's. In this order, because the later ones of a module leave more behind.
FAMILIES = {
    "claim_scale": "claims:measure_scale",
    "claim_adversarial": "claims:measure_adversarial",
    "claim_bloat": "claims:measure_bloat",
    "claim_limit": "claims:measure_limit",
    "dispatch_limit": "dispatch:measure_limit",
    "dispatch_peers": "dispatch:measure_peers",
    "utilisation": "utilisation:measure",
    "cps": "cps:measure",
    "callbacks": "callbacks:measure",
    "conversation": "conversations:measure",
    "import": "imports:measure",
    "recovery": "recovery:measure",
    "idle": "idle:measure",
    "memory": "memory:measure",
    "memory_soak": "memory:measure_soak",
}


class UnknownFamily(Exception):
    """No family has this name."""


def choose_families(only: Iterable[str] = (), without: Iterable[str] = ()) -> list[str]:
    """Those of the names, or all, less the others; each name as find_families() takes it. Raises UnknownFamily."""
    wanted = {family for name in only for family in find_families(name)} or FAMILIES.keys()
    left_out = {family for name in without for family in find_families(name)}
    return [family for family in FAMILIES if family in wanted and family not in left_out]


def find_families(name: str) -> Collection[str]:
    """The family of this name, the families of a module ("claims"), or the family of a figure ("cps_1.5").

    Raises UnknownFamily.
    """
    if name in FAMILIES:
        return [name]
    of_module = [family for family in FAMILIES if module_of(family) == name]
    of_figure = [family for family in FAMILIES if name.startswith(f"{family}_")]
    if not of_module and not of_figure:
        raise UnknownFamily(f"No benchmark is called {name!r}; there are {', '.join(FAMILIES)}.")
    return of_module or [max(of_figure, key=len)]


def module_of(family: str) -> str:
    return FAMILIES[family].split(":")[0]


def measure_families(families: Sequence[str], scale: float, results: Connection) -> None:
    """Those of one module, on what it sets up once; sends the name and figures of each as it has them."""
    end_at_signals(word="")  # whoever started us says it
    module = import_module(f"bench.{module_of(families[0])}")
    with module.set_up() as ground:
        for family in families:
            measure = getattr(module, FAMILIES[family].split(":")[1])
            results.send((family, list(measure(ground, scale))))
