"""The words everything else is said in: instants, quantities, money, quality, reading types."""
