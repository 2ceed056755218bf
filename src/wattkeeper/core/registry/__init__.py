"""What is installed where and when; multipliers; exchange of a meter; topology over time."""
