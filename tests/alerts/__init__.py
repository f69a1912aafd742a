"""The alert rules of deploy/prometheus: against the catalogue, against their pages, and with Prometheus itself."""
