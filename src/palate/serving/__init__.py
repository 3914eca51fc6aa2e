"""Palate as a service: a store that loses nothing, models kept live, an API and a page."""
