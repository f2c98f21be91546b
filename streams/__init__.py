"""Signal streams: files and tables in, decoded signals with their source positions out."""
