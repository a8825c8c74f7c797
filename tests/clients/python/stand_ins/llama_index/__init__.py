"""A stand-in of llama-index-core."""
