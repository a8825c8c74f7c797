"""A stand-in of langchain-core."""
