"""Wattkeeper's open pulse-counter messages, over MQTT or newline-delimited JSON. Sans-I/O."""
