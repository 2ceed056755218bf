"""What is installed where and when: installations, multipliers, topology. Pure facts, checked when made."""
