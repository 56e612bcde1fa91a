//! Forwards every message with headers that tell one build of this module from another.
//!
//! | header | value |
//! |---|---|
//! | `version` | the setting `version` |
//! | `stamp` | sixteen bytes of the module itself: a test replaces them in the `.wasm` and has another module |

use pelton_sdk::{Failure, Message, Output, handler};
use serde::Deserialize;

/// Lies in the module once, in plain bytes.
static STAMP: [u8; 16] = *b"PELTON-STAMP-000";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    #[serde(default)]
    pub version: String,
}

pub fn handle(_message: Message<'_>, settings: &Settings) -> Result<Output, Failure> {
    // Hidden from the optimiser, which would otherwise fold the bytes into code, where nobody could replace them.
    let stamp: &'static [u8; 16] = core::hint::black_box(&STAMP);
    let stamp = String::from_utf8_lossy(stamp);
    Ok(Output::forward().header("version", settings.version.as_str()).header("stamp", &*stamp))
}

handler!(handle, config = Settings);

#[cfg(test)]
mod tests {
    use pelton_sdk::{Value, testing};

    #[test]
    #[allow(clippy::unwrap_used)]
    fn the_headers_are_added() {
        let settings = testing::settings(&[("version", "7")]).unwrap();
        let output = super::handle(testing::message().message(), &settings).unwrap();
        let headers: Vec<_> = output.given().headers().collect();
        assert_eq!(headers, [("version", Value::Text("7")), ("stamp", Value::Text("PELTON-STAMP-000"))]);
    }
}
