"""Synthetic chest CTs whose truth is known: patients, findings, volumes, reports and detectors."""
