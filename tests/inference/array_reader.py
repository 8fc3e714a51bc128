"""A scene that lives in memory, for tests of the pass alone."""

from geoseg.core.protocols import Rows


class ArrayReader:
    def __init__(self, pixels, valid=None):
        self.pixels, self.valid = pixels, valid
        self.shape, self.count, self.dtype = pixels.shape[1:], pixels.shape[0], pixels.dtype

    def rows(self, spans, x):
        for span in spans:
            where = (slice(span.start, span.stop), slice(x.start, x.stop))
            yield Rows(span, self.pixels[(slice(None), *where)], None if self.valid is None else self.valid[where])
