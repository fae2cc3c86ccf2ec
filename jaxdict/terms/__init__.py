"""Terms: the words that the sources use without a formula, each in two sentences.

Conventions of the room. A term is data and no function: its definition is exactly two sentences, what the word means
and why it matters. Names are singular and in snake case, as all entries' names are; `jaxdict.lookup` forgives spaces.
"""

from jaxdict.terms import gradients, networks, quality, training

__all__ = ["gradients", "networks", "quality", "training"]
