#![allow(clippy::unwrap_used, clippy::panic)]

use pelton_sdk::testing;
use serde_json::{Value, json};

use super::*;

fn feature() -> Value {
    json!({
        "type": "Feature",
        "id": "us1",
        "properties": { "type": "earthquake", "mag": 5.5, "place": "5km \"off\" the coast", "time": 1517363399650_i64, "tsunami": 0 },
        "geometry": null,
    })
}

fn run(body: &Value) -> Result<Option<Output>, Failure> {
    let settings: Settings = testing::settings(&[("min_magnitude", "4.5")]).unwrap();
    handle(testing::message().json(body).message(), &settings)
}

#[test]
fn an_earthquake_becomes_an_alert() {
    let output = run(&feature()).unwrap().unwrap();
    let alert = output.given();
    assert_eq!(
        alert.json::<Value>().unwrap(),
        json!({
            "id": "us1", "magnitude": 5.5, "place": "5km \"off\" the coast", "time": 1517363399650_i64,
            "tsunami": false, "severity": "moderate",
        })
    );
    assert_eq!((alert.subject(), alert.key()), (Some("alerts.moderate"), Some(b"us1".as_slice())));
    assert_eq!(alert.header("severity"), Some("moderate".into()));
    assert!(alert.inherits_timestamp() && !alert.inherits_body());
}

#[test]
fn what_is_no_alert() {
    for (name, value) in
        [("mag", json!(4.4)), ("mag", Value::Null), ("type", json!("explosion")), ("type", json!("quarry blast"))]
    {
        let mut feature = feature();
        *feature.pointer_mut(&format!("/properties/{name}")).unwrap() = value.clone();
        assert_eq!(run(&feature), Ok(None), "{name}: {value}");
    }
}

#[test]
fn what_is_no_feature_is_rejected_with_the_reason() {
    let mut collection = feature();
    *collection.pointer_mut("/type").unwrap() = json!("FeatureCollection");
    let cases = [
        (collection, "not a GeoJSON feature: its type is `FeatureCollection`"),
        (json!({ "type": "Feature" }), "body is not as expected: missing field `id`"),
        (json!([1]), "body is not as expected: invalid type: integer `1`"),
    ];
    for (body, reason) in cases {
        let failure = run(&body).unwrap_err();
        assert!(failure.is_reject() && failure.reason().starts_with(reason), "{failure}");
    }
    let settings = Settings { min_magnitude: 0.0 };
    let failure = handle(testing::message().body("no JSON").message(), &settings).unwrap_err();
    assert!(failure.is_reject() && failure.reason().starts_with("body is not JSON: expected ident"), "{failure}");
}

#[test]
fn severity_follows_magnitude_and_a_tsunami_raises_it() {
    let cases =
        [(4.9, "minor", "moderate"), (5.0, "moderate", "strong"), (6.0, "strong", "major"), (7.0, "major", "major")];
    for (magnitude, without, with) in cases {
        assert_eq!(Severity::of(magnitude, false).name(), without, "{magnitude}");
        assert_eq!(Severity::of(magnitude, true).name(), with, "{magnitude} with a tsunami");
    }
}

#[test]
fn settings_must_say_a_number() {
    let refusal = |config| testing::settings::<Settings>(config).err().unwrap();
    assert_eq!(refusal(&[("min_magnitude", "big")]), "setting `min_magnitude` is \"big\": expected a number");
    assert_eq!(refusal(&[]), "setting `min_magnitude` is missing");
    assert_eq!(refusal(&[("min_magnitud", "1")]), "setting `min_magnitud` is not known; there are `min_magnitude`");
}

/// A week of the USGS feed: 1,707 events, eight of magnitude 2 and above that are no earthquakes.
#[test]
fn the_real_feed() {
    let feed = include_str!("../../../config/demo/quakes.ndjson");
    let alerts = |min_magnitude| {
        let settings = Settings { min_magnitude };
        let handled = feed.lines().map(|line| handle(testing::message().body(line).message(), &settings));
        handled.map(|result| result.unwrap_or_else(|failure| panic!("{failure}"))).filter(Option::is_some).count()
    };
    assert_eq!(feed.lines().count(), 1707);
    assert_eq!(alerts(4.5), 85);
    assert_eq!(alerts(2.0), 438);
}
