"""The places in the product's programs where a fault can be made to happen, in the order of a call's way."""

POINTS = {
    "scheduler": (
        "before_lock",
        "after_lock",
        "before_claim_commit",
        "after_claim_commit",
        "claim_ack",
        "after_placing",
        "before_post",
        "post_out",
        "after_answer",
        "before_record",
    ),
    "web": ("before_report_commit", "after_report_commit", "report_ack"),
}
POINTS["cluster"] = POINTS["scheduler"]

# Here the commit is done and its answer is lost, whatever the trap says.
ACKS = {"claim_ack", "report_ack"}
