"""Language models that answer prompts: an endpoint, a folder of weights, a script.

Nothing here knows of items or users. :mod:`palate.llm.open` makes a speaker from what a person
writes; :mod:`palate.llm.speaker` says what every speaker can do.
"""
