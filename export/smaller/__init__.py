"""Compression: training in a smaller form, export, verification."""
