"""Certificates: files from which a third party derives ROBUST again without our solvers.

Source: docs/certificates.md.
"""
