//! Alerts by HTTP: each as it is to a webhook, or as Alertmanager wants it.

use std::collections::BTreeMap;
use std::time::Duration;

use alerts::Alert;

use crate::error::DeliverError;
use crate::http::{Target, post};
use crate::worker::{Deliver, Item};

/// What is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// The alert.
    Alert,
    /// A list for `/api/v2/alerts`.
    Alertmanager,
}

/// Posts alerts.
pub(crate) struct Webhook {
    pub(crate) target: Target,
    pub(crate) body: Body,
    pub(crate) patience: Duration,
}

impl Deliver for Webhook {
    fn deliver(&mut self, item: &Item) -> Result<(), DeliverError> {
        match self.body {
            Body::Alert => post(&self.target, &item.json, self.patience),
            Body::Alertmanager => post(&self.target, &for_alertmanager(&item.alert), self.patience),
        }
    }
}

/// `postableAlerts` of Alertmanager's API, version 2. The labels make an alert what it is: an update has the same. It resolves by
/// itself when nothing more comes.
fn for_alertmanager(alert: &Alert) -> String {
    let mut labels = BTreeMap::from([
        ("alertname", alert.rule.shown().into_owned()),
        ("alert_id", alert.id.shown().into_owned()),
        ("severity", alert.priority.name().to_owned()),
        ("container", alert.container.called()),
        ("source", "ringfence".to_owned()),
    ]);
    if let Some(image) = &alert.container.image {
        labels.insert("image", image.shown().into_owned());
    }
    // A label without a value is none.
    labels.retain(|_, value| !value.is_empty());
    let annotations = BTreeMap::from([
        ("summary", alert.output.shown().into_owned()),
        ("count", alert.count.to_string()),
        ("suppressed", alert.suppressed.to_string()),
        ("last_seen", alert.last_seen.to_string()),
    ]);
    serde_json::json!([{ "labels": labels, "annotations": annotations, "startsAt": alert.first_seen.to_string() }])
        .to_string()
}
