// What a site may want otherwise; see mixin.libsonnet.
{
  _config+:: {
    // The scrape job of the exporters: what follows `job` in every selector.
    datatroveJob: 'datatrove-exporter',
    // Where the runbooks are read: a pattern with one %s for the alert's name; null keeps the
    // addresses in the rules.
    runbookURLPattern: null,
  },
}
