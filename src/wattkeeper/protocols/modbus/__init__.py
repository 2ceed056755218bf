"""Modbus over TCP, RTU and RTU-over-TCP, both halves: requests and answers. Sans-I/O."""
