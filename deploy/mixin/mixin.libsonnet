// The rules and dashboards of this repository as a monitoring mixin. It has no copy of them:
// it reads the files that everybody else uses, and changes what _config says.
local alerts = std.parseYaml(importstr '../prometheus/datatrove-alerts.rules.yml');
local recording = std.parseYaml(importstr '../prometheus/datatrove-recording.rules.yml');
local stages = std.parseYaml(importstr '../prometheus/datatrove-stages.rules.yml');
local rulesWith(file, change) = file { groups: [g { rules: std.map(change, g.rules) } for g in file.groups] };

(import 'config.libsonnet') + {
  local config = self._config,
  local forJob(expr) = std.strReplace(expr, '"datatrove-exporter"', '"%s"' % config.datatroveJob),

  prometheusAlerts+:: rulesWith(alerts, function(rule) rule {
    expr: forJob(rule.expr),
    [if config.runbookURLPattern != null then 'annotations']+: {
      runbook_url: config.runbookURLPattern % rule.alert,
    },
  }),
  prometheusRules+:: rulesWith({ groups: recording.groups + stages.groups }, function(rule) rule {
    expr: forJob(rule.expr),
  }),
  grafanaDashboards+:: {
    'datatrove-overview.json': import '../grafana/dashboards/overview.json',
    'datatrove-stage.json': import '../grafana/dashboards/stage.json',
    'datatrove-job.json': import '../grafana/dashboards/job.json',
    'datatrove-exporter.json': import '../grafana/dashboards/exporter.json',
  },
}
