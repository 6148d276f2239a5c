"""The checker's own readers of network files.

A reader knows every field that it accepts. A file with any other field has no rules.
Source: docs/certificates.md, "Which files have rules".
"""
