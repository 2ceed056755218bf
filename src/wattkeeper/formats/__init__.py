"""Files to readings and back."""
