"""The codec tables of the media verdict: what they are made from, how they are trained, and how they are checked.

docs/design/003-codec-tables.md says what a table is, and why its bound holds.
"""
