"""Meters, concentrators, whole streets over real sockets, with faults; ground truth kept beside."""
