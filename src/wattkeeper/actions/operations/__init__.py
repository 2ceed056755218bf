"""What an operator does to the whole installation: prove, archive, back up, restore."""
