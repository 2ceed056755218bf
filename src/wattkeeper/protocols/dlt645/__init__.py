"""DL/T 645-1997 and DL/T 645-2007, both halves: what a master asks and what a meter answers. Sans-I/O."""
