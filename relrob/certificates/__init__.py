"""Certificates: a file from which a third party re-derives ROBUST without our solvers
(docs/certificates.md)."""
