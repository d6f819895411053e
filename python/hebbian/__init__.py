"""Evolved learning rules of hebbian, in NumPy: load the genome file of a run and train networks by its rule."""

from .rule import Learner, Rule, RuleError

__all__ = ["Learner", "Rule", "RuleError"]
__version__ = "0.1.0"
