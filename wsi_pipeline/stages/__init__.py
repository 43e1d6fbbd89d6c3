"""Which artefacts become which?

One module per arrow of the drawing in ``docs/architecture.md``.  A stage opens, plans,
computes and writes; it introduces the rooms to each other and holds no science of its own.
"""
