"""From labelled scenes to a model: labels become windows, windows become batches, batches train a network."""
