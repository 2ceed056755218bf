"""Virtual meters, groups of usage points, comparisons of meters."""
