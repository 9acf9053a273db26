//! The text format of Prometheus, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::fmt;
use std::fmt::{Display, Write};

use crate::observe::histogram::Histogram;
use crate::observe::metrics::Durations;

/// What a family of metrics is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by bucket.
    Histogram,
    /// Quantiles, made here.
    Summary,
}

/// The labels of a sample: names and values.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// A page of metrics.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

impl Page {
    /// Begins a family: all its samples follow.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Summary => "summary",
        };
        self.put(format_args!(
            "# HELP {name} {}\n# TYPE {name} {kind}\n",
            Escaped { text: help, quote: false }
        ));
    }

    /// Adds a sample.
    pub fn sample(&mut self, name: &str, labels: Labels<'_>, value: impl Display) {
        self.put(name);
        for (i, (label, text)) in labels.iter().enumerate() {
            let before = if i == 0 { '{' } else { ',' };
            self.put(format_args!("{before}{label}=\"{}\"", Escaped { text, quote: true }));
        }
        let after = if labels.is_empty() { "" } else { "}" };
        self.put(format_args!("{after} {value}\n"));
    }

    /// Adds a family of one sample.
    pub fn single(&mut self, name: &str, kind: Kind, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    /// Adds the samples of durations, in milliseconds, by bucket.
    pub fn durations(&mut self, name: &str, labels: Labels<'_>, durations: &Durations) {
        let bucket = format!("{name}_bucket");
        let mut bounded = |limit: &str, count: u64| {
            let labels: Vec<_> = labels.iter().copied().chain([("le", limit)]).collect();
            self.sample(&bucket, &labels, count);
        };
        durations.cumulative().for_each(|(limit, count)| bounded(&limit.to_string(), count));
        bounded("+Inf", durations.count());
        self.sample(&format!("{name}_sum"), labels, durations.sum());
        self.sample(&format!("{name}_count"), labels, durations.count());
    }

    /// Adds a family of the quantiles of a histogram, in seconds.
    pub fn quantiles(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, Kind::Summary, help);
        let quantiles = histogram.quantiles();
        for (quantile, value) in [("0.5", quantiles.p50), ("0.95", quantiles.p95), ("0.99", quantiles.p99)] {
            self.sample(name, &[("quantile", quantile)], value / 1000.0);
        }
        self.sample(&format!("{name}_sum"), &[], histogram.sum() / 1000.0);
        self.sample(&format!("{name}_count"), &[], histogram.count());
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }

    fn put(&mut self, what: impl Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.text, "{what}");
    }
}

/// A text in which what would end it is escaped; in a label value a quote too.
struct Escaped<'a> {
    text: &'a str,
    quote: bool,
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.text.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                '\n' => f.write_str("\\n")?,
                '"' if self.quote => f.write_str("\\\"")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page() {
        let mut page = Page::default();
        page.single("up", Kind::Gauge, "Whether it is \"up\"\nor not", 1.5);
        page.family("calls", Kind::Histogram, "Calls");
        let mut durations = Durations::default();
        durations.record(2_000);
        page.durations("calls", &[("stream", "a\"b\\c\nd")], &durations);
        let text = page.finish();
        assert!(text.starts_with(
            "# HELP up Whether it is \"up\"\\nor not\n# TYPE up gauge\nup 1.5\n# HELP calls Calls\n"
        ));
        assert!(text.contains("calls_bucket{stream=\"a\\\"b\\\\c\\nd\",le=\"1\"} 0\n"));
        assert!(text.contains("calls_bucket{stream=\"a\\\"b\\\\c\\nd\",le=\"+Inf\"} 1\n"));
        assert!(text.ends_with(
            "calls_sum{stream=\"a\\\"b\\\\c\\nd\"} 2\ncalls_count{stream=\"a\\\"b\\\\c\\nd\"} 1\n"
        ));
    }

    #[test]
    fn quantiles_are_a_summary() {
        let mut histogram = Histogram::new();
        (1..=100).for_each(|n| histogram.record(n * 1000));
        let mut page = Page::default();
        page.quantiles("latency_seconds", "From publish to handler", &histogram);
        let text = page.finish();
        assert!(text.contains("# TYPE latency_seconds summary\nlatency_seconds{quantile=\"0.5\"} 0.05"));
        assert!(text.contains("latency_seconds_sum 5.05\nlatency_seconds_count 100\n"), "{text}");
    }
}
