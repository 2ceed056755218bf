"""From determinants to a bill, each line traceable to its intervals."""
