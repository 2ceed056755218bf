"""Commands to relays: requested, let go, recorded. The only door to `core.commands.authorize`."""
