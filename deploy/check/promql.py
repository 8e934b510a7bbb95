"""Which metrics and labels queries ask for, against those there are (prometheus/metrics.txt)."""

import re

import promql_parser as promql

from common import DEPLOY, wrong

# What Prometheus adds to everything it scrapes, or says itself.
SCRAPED = {"job", "instance"}
# Labels that some ways to scrape add: they may be taken out of a sum, not gone by.
SOMETIMES = {"pod"}
ALERT = {"alertname", "alertstate", "severity"}


def metrics():
    """Name of a series -> its labels; name of a metric -> its kind and its own labels."""
    series, families = {"up": SCRAPED}, {}
    for line in (DEPLOY / "prometheus/metrics.txt").read_text().splitlines():
        if line.startswith("#") or not line:
            continue
        name, kind, *labels = line.split()
        families[name] = (kind, set(labels))
        labels = SCRAPED | set(labels)
        if kind == "histogram":
            series |= {name + "_bucket": labels | {"le"}, name + "_sum": labels, name + "_count": labels}
        else:
            series[name] = labels
    return series, families


class Asked:
    """Goes through queries, tells what they may not ask for, and remembers what they did."""

    def __init__(self, series):
        self.series, self.used = dict(series), set()

    def query(self, where, text):
        """The labels that its result can have."""
        self.where = f"{where}: {text.strip().splitlines()[0][:100]}"
        try:
            return self.labels(promql.parse(text))
        except ValueError as error:
            wrong(f"{self.where}: {error}")
            return set()

    def labels(self, e):
        match type(e).__name__:
            case "VectorSelector":
                return self.selector(e)
            case "MatrixSelector":
                return self.selector(e.vector_selector)
            case "SubqueryExpr" | "ParenExpr" | "UnaryExpr":
                return self.labels(e.expr)
            case "AggregateExpr":
                inner = self.labels(e.expr)
                if e.modifier is None:
                    return inner if str(e.op) in ("topk", "bottomk") else set()
                named = set(e.modifier.labels)
                if e.modifier.type == promql.AggModifierType.Without:
                    self.known(named, inner | SOMETIMES)
                    return inner - named
                self.known(named, inner)
                return named
            case "BinaryExpr":
                left, right = self.labels(e.lhs), self.labels(e.rhs)
                if e.modifier is not None and e.modifier.matching is not None:
                    self.known(set(e.modifier.matching.labels), left & right)
                # Only numbers on one side: the other one's labels.
                return left | right
            case "Call":
                inner = [self.labels(a) for a in e.args]
                if e.func.name == "histogram_quantile" and "le" not in inner[-1]:
                    wrong(f"{self.where}: a quantile needs `le`")
                inner = set().union(*inner)
                return inner - {"le"} if e.func.name == "histogram_quantile" else inner
            case _:
                return set()

    def selector(self, e):
        name = e.name
        if name == "ALERTS":
            return SCRAPED | ALERT
        if name not in self.series:
            wrong(f"{self.where}: there is no metric `{name}`")
            return set()
        self.used.add(name)
        labels = self.series[name]
        self.known({m.name for m in e.matchers.matchers}, labels)
        return labels

    def known(self, named, labels):
        for label in sorted(named - labels):
            wrong(f"{self.where}: there is no label `{label}`")


def plain(text):
    """A query of the dashboard without Grafana's variables."""
    text = text.replace("$__rate_interval", "5m").replace("$__range", "3h")
    return re.sub(r"\$\{?\w+\}?", ".*", text)
