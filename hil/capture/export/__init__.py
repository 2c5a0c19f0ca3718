"""Captures in the formats of other tools: pcapng, candump, VCD, CSV, Parquet."""
