"""The daemon and its command line: everything that ties source, store and adapters together."""
