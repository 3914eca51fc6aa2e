"""A language model of ``transformers`` that answers in this process.

Only the files in this folder load torch, and they are imported when a folder is opened: endpoints,
scripts, budgets and caches stay light.
"""
