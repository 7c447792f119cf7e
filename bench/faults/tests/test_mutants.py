"""The guards that are taken out are where the mutants look for them."""

import pytest

from bench.faults.mutants import MUTANTS, Edit, MutantError, copy_repository
from bench.world import ROOT

EDITS = [(mutant.name, edit) for mutant in MUTANTS for edit in mutant.edits]


@pytest.mark.parametrize("edit", [edit for _, edit in EDITS], ids=[f"{name}-{edit.file}" for name, edit in EDITS])
def test_what_a_mutant_takes_out_stands_in_the_product_once(edit):
    assert (ROOT / edit.file).read_text().count(edit.old) == 1


def test_a_guard_that_is_not_there_is_an_error():
    edit = Edit(file="calls/pacing.py", old="no such line", new="")
    with pytest.raises(MutantError, match=r"calls/pacing\.py has 'no such line' 0 times"), copy_repository([edit]):
        pass
