"""What is measured by no meter of its own: formulas, groups of usage points, comparisons of meters."""
