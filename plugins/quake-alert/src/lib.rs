//! Turns earthquakes of a GeoJSON feed (one feature a message, as the USGS publishes them) into alerts.
//!
//! Explosions, quarry blasts and what is weaker than `min_magnitude` give no alert. What is no GeoJSON feature is
//! rejected.

use std::borrow::Cow;

use pelton_sdk::{Failure, Message, Output, handler};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The weakest earthquake that is worth an alert.
    pub min_magnitude: f64,
}

/// What is read of a GeoJSON feature; the rest is passed over. Text is borrowed from the body where it has no escapes.
#[derive(Deserialize)]
struct Feature<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    properties: Properties<'a>,
}

#[derive(Deserialize)]
struct Properties<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    /// Absent while the event has not been measured.
    mag: Option<f64>,
    #[serde(borrow)]
    place: Option<Cow<'a, str>>,
    /// In milliseconds since 1970.
    time: i64,
    /// 1 where the event lies in an oceanic region and is large enough for a tsunami to be looked into.
    #[serde(default)]
    tsunami: u8,
}

/// The body of an alert.
#[derive(Serialize)]
struct Alert<'a> {
    id: &'a str,
    magnitude: f64,
    place: Option<&'a str>,
    /// In milliseconds since 1970, as in the feed.
    time: i64,
    tsunami: bool,
    severity: Severity,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Minor,
    Moderate,
    Strong,
    Major,
}

impl Severity {
    /// By the customary classes of magnitude; a possible tsunami raises it by one.
    pub fn of(magnitude: f64, tsunami: bool) -> Severity {
        match (magnitude, tsunami) {
            (..5.0, false) => Severity::Minor,
            (..5.0, true) | (..6.0, false) => Severity::Moderate,
            (..6.0, true) | (..7.0, false) => Severity::Strong,
            _ => Severity::Major,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Severity::Minor => "minor",
            Severity::Moderate => "moderate",
            Severity::Strong => "strong",
            Severity::Major => "major",
        }
    }
}

pub fn handle(message: Message<'_>, settings: &Settings) -> Result<Option<Output>, Failure> {
    let feature: Feature<'_> = message.json()?;
    if feature.kind != "Feature" {
        return Err(Failure::reject(format_args!("not a GeoJSON feature: its type is `{}`", feature.kind)));
    }
    let properties = &feature.properties;
    let Some(magnitude) = properties.mag.filter(|&magnitude| magnitude >= settings.min_magnitude) else {
        return Ok(None);
    };
    if properties.kind != "earthquake" {
        return Ok(None);
    }
    let tsunami = properties.tsunami != 0;
    let severity = Severity::of(magnitude, tsunami);
    let alert = Output::json(&Alert {
        id: &feature.id,
        magnitude,
        place: properties.place.as_deref(),
        time: properties.time,
        tsunami,
        severity,
    })?;
    Ok(Some(
        alert
            .subject(format!("alerts.{}", severity.name()))
            .key(feature.id.as_bytes())
            .header("severity", severity.name())
            .inherit_timestamp(),
    ))
}

handler!(handle, config = Settings, wants = ["bodies"]);

#[cfg(test)]
mod tests;
