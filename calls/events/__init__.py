"""What became of people, told to others: webhooks to subscribers, and e-mails to the contacts themselves."""
