"""The checker of certificates: it derives again what a certificate claims.

It shares no code with the solvers, the bounds and the readers that prove (an import contract in
pyproject.toml). Source: docs/certificates.md.
"""
