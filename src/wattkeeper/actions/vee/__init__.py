"""Rule sets for groups of series, manual edits and their second person."""
