"""The same work on many machines: shards of files through Ray Data, kept as they are done."""
