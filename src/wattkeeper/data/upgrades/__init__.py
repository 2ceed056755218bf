"""The relational schema over releases: what is there, what this release serves, and the way between."""
