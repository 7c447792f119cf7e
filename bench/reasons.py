"""Why figures miss their goals, as far as it is known; beside a figure that meets its goal it is not shown."""

REASONS = {
    "claim_scale": (
        "A claim gives each of its fifty contacts a new entry in every index, and that of the numbers is in "
        "no order: fifty pages at random among those of ten million numbers, always the same few with ten "
        "thousand. It was 1.09 when a claim took 24 ms; now that the rest of it takes 9 this weighs more. (So "
        "by the design of the indexes; it was not measured apart.)"
    ),
    "claim_adversarial": (
        "The fifty contacts are of fifty campaigns: some 150 open lanes are looked into instead of 8, and "
        "fifty versions of campaigns compared instead of one. Two fifths of the difference are PostgreSQL's "
        "(the heads of the lanes 1.2 ms, the lock 0.8, the writes 0.4), the others are Python's."
    ),
    "claim_limit": (
        "About half of a claim is Python: the roster, whose turn it is, and fifty rows each of contacts and "
        "attempts. pgbench does none of it, and prepares the statements too that we do not: the provider's "
        "row and the heads."
    ),
    "claim_limit_4_processes": (
        "The others ask for the lock five times a second, and whoever claims after another looks through all "
        "open calls instead of asking which have ended."
    ),
    "callbacks": (
        "Each report is durable before it is answered. That costs about 240 microseconds of our processor and "
        "150 of PostgreSQL's beside the 410 of the bare view (measured when the end of a call became two "
        "messages). What is left would be to apply the reports that wait in a process together, in one "
        "statement and one commit."
    ),
    "callbacks_disordered": (
        "A repetition is one statement, which reads; what it costs beside the bare view differs from day to day: "
        "runs of the same code gave from 0.50 to 0.98."
    ),
}
