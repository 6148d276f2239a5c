"""Audits: rules, policies, the gate, baselines, outputs."""
