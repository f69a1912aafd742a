"""The Grafana dashboards of deploy/grafana, as code: `make generate` writes their JSON.

A new dashboard is a module here and a line in `DASHBOARDS`. Tests run each query of each panel: SQL against a
loaded store (tests/sinks/test_dashboards.py), and PromQL with Prometheus (tests/alerts/test_dashboards.py).
"""

from tests.generated.dashboards.cost import COST
from tests.generated.dashboards.operations import OPERATIONS
from tests.generated.dashboards.panels import Dashboard
from tests.generated.dashboards.quality import QUALITY
from tests.generated.dashboards.tonight import TONIGHT

DASHBOARDS: tuple[Dashboard, ...] = (TONIGHT, QUALITY, COST, OPERATIONS)
