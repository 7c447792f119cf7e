"""What integrators may listen to; docs/hooks.md says what they can rely on."""

from django.dispatch import Signal

# The attempt's row is committed; its call is about to be placed.
attempt_claimed = Signal()

# The provider has accepted the call, and named it: provider_call_id.
attempt_placed = Signal()

# The attempt has its outcome: outcome, and given_back when nobody was rung. Sent once more, with corrected, when
# the no_answer of somebody who had answered everything, or refused, becomes that; any other outcome stands.
attempt_ended = Signal()
