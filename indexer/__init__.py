"""Documents in, hits out: reading, indexing, releasing and searching a medical knowledge base."""
