"""Weights & Biases beside a run: uploading later, and the workspace as code."""
