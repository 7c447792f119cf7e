"""What whoever sees a campaign needs besides, to see what its calls have brought."""

# Counts, charts and rates of all contacts together.
SEE_FIGURES = ("campaigns.view_campaign", "calls.view_callattempt")
# What single people have answered: in their own words, or each with who it is.
SEE_ANSWERS = (*SEE_FIGURES, "contacts.view_contact")
