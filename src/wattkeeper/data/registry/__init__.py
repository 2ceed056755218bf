"""What is installed where and when: sites, usage points, meters, channels, installations, multipliers."""
