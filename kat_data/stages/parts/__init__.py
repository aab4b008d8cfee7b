"""What several stages share: asking models, reading their replies, judging answers, the reasoning chain."""
