"""The sections of the settings: one model for each part of the engine.

Every description, limit and default is written here once.
"""
