"""The Grafana dashboards as code: ``python -m deploy.grafana.make_dashboards`` writes their JSON."""
