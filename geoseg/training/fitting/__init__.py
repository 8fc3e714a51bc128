"""The loop of training: a network, batches and a recipe go in, weights come out.

`fit` is the one function; `Course` is what it takes, `Fitted` what it gives.
"""

from geoseg.training.fitting.course import Course as Course
from geoseg.training.fitting.course import Fitted as Fitted
from geoseg.training.fitting.fit import fit as fit
