"""The dashboard and the alert rules name what is really exported, and no label that it does not have."""

import json
import re
from uuid import uuid4

import pytest
import yaml
from django.urls import reverse
from prometheus_client.parser import text_string_to_metric_families

from calls.metrics import counting
from calls.metrics.exposition import write_metrics
from campaigns.models import CampaignStatus
from campaigns.tests.factories import CampaignFactory
from contacts.tests.factories import ContactFactory
from surveycalls.tests.processes import ROOT
from surveycalls.tests.test_probes import show_a_scheduler

ADDED_BY_PROMETHEUS = {"instance", "job"}
GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
METRIC = re.compile(r"\b(surveycalls_\w+)(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"')
FUNCTIONS = {"max", "min", "sum", "rate", "increase", "absent", "histogram_quantile", "vector"}
OPERATORS = {"and", "or", "by", "without", "on", "for"}


def read_alerts():
    (group,) = yaml.safe_load((ROOT / "docs/alerts.yml").read_text())["groups"]
    return group["rules"]


def read_panels():
    return json.loads((ROOT / "docs/grafana-dashboard.json").read_text())["panels"]


def list_expressions():
    alerts = [(rule["alert"], rule["expr"]) for rule in read_alerts()]
    return alerts + [(panel["title"], target["expr"]) for panel in read_panels() for target in panel["targets"]]


@pytest.fixture
def exported(db):
    """Label names, and the values of each, by the name of a sample."""
    show_a_scheduler()
    campaign = CampaignFactory(status=CampaignStatus.RUNNING)
    ContactFactory(campaign=campaign)
    for outcome in ("completed", counting.GIVEN_BACK):
        counting.attempts_ended.labels(str(campaign.pk), outcome).inc()
    counting.attempts_corrected.labels(str(campaign.pk)).inc()
    counting.claim_seconds.labels("somebody").observe(0.01)
    labels = {}
    for family in text_string_to_metric_families(write_metrics().decode()):
        for sample in family.samples:
            known = labels.setdefault(sample.name, {})
            for name, value in sample.labels.items():
                known.setdefault(name, set()).add(value)
    return labels


@pytest.mark.parametrize("title, expression", list_expressions())
def test_an_expression_names_what_is_exported(exported, title, expression):
    named = METRIC.findall(expression)
    assert named
    labels = set(ADDED_BY_PROMETHEUS)
    for metric, matchers in named:
        assert metric in exported
        labels |= set(exported[metric])
        for label, values in MATCHER.findall(matchers):
            assert label in exported[metric]
            assert set(values.split("|")) <= exported[metric][label]
    for group in GROUPING.findall(expression):
        assert {label.strip() for label in group.split(",")} <= labels


@pytest.mark.parametrize("title, expression", list_expressions())
def test_an_expression_is_well_formed(title, expression):
    assert expression.count("(") == expression.count(")")
    bare = GROUPING.sub("", METRIC.sub("", expression))
    bare = re.sub(r"\[(?:\d+[smhd]|\$__rate_interval)\]", "", bare)
    assert set(re.findall(r"[a-z_]{2,}", bare)) <= FUNCTIONS | OPERATORS
    assert not re.search(r"[\[\]{}$]", bare)
    # A counter means something only as a rate, and what is counted in several places only as a sum.
    for metric, _ in METRIC.findall(expression):
        if metric.endswith(("_total", "_bucket", "_count", "_sum")):
            assert re.search(rf"(?:rate|increase)\({metric}", expression)
            assert "sum" in expression


def test_an_unknown_name_would_be_found(exported):
    assert "surveycalls_calls_started" not in exported
    with pytest.raises(AssertionError):
        test_an_expression_names_what_is_exported(exported, "", f"max(surveycalls_{uuid4().hex})")


def test_what_is_shown_by_campaign_leads_to_the_campaign_in_the_admin():
    change = reverse("admin:campaigns_campaign_change", args=["PK"]).replace("PK", "${__field.labels.campaign}")
    by_campaign = [panel for panel in read_panels() if "by (campaign" in panel["targets"][0]["expr"]]
    assert len(by_campaign) == 3
    for panel in by_campaign:
        (link,) = panel["fieldConfig"]["defaults"]["links"]
        assert link["url"] == f"${{site}}{change}"


def test_every_exported_metric_is_on_the_dashboard(exported):
    shown = {
        metric for panel in read_panels() for target in panel["targets"] for metric, _ in METRIC.findall(target["expr"])
    }
    silent = {name for name in exported if not name.endswith(("_sum", "_count"))} - shown
    assert silent == set()


def test_every_alert_says_what_to_do():
    for rule in read_alerts():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"] and rule["annotations"]["action"]


def test_panels_do_not_overlap():
    taken = [
        (x, y)
        for panel in read_panels()
        for position in [panel["gridPos"]]
        for x in range(position["x"], position["x"] + position["w"])
        for y in range(position["y"], position["y"] + position["h"])
    ]
    assert len(taken) == len(set(taken))
    assert all(x < 24 for x, _ in taken)
