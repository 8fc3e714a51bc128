"""The hub and the cache of the hub's own tests."""

from tests.models.hub.conftest import cache as cache
from tests.models.hub.conftest import hub as hub
