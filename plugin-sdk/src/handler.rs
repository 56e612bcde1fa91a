//! The macro that makes a function a component, and what it stands on.

use std::sync::OnceLock;

use serde::de::DeserializeOwned;

use crate::settings::settings;

/// Makes a function the handler of this component.
///
/// The function takes a [`Message`](crate::Message) and returns `Result<T, Failure>`, where `T` is anything that is
/// [`IntoOutputs`](crate::IntoOutputs): `()`, an [`Output`](crate::Output), an option, a vector or an array of them.
/// Use it once in a crate whose `crate-type` contains `cdylib`. In a native build it exports nothing, but the function
/// is checked all the same.
///
/// | option | default | meaning |
/// |---|---|---|
/// | `config = Type` | none | The function's second parameter is `&Type`, made from the handler's `config:` by serde (any type that is `DeserializeOwned + Send + Sync`). A mistake there refuses the module, naming the setting, its text and what was expected |
/// | `wants = ["bodies", …]` | everything | The only columns that the function reads, by their names in the contract's `batch`; the others arrive empty: a subject that was not wanted is `""` |
/// | `max_messages = N` | 0: no limit | The most messages in one batch |
/// | `max_bytes = N` | 0: no limit | The most bytes of bodies and header values in one batch, a single larger message aside |
///
/// ```
/// use pelton_sdk::{Failure, Message, Output, handler};
///
/// #[derive(serde::Deserialize)]
/// struct Settings {
///     least: f64,
///     #[serde(default)]
///     labels: Vec<String>,
/// }
///
/// fn handle(message: Message<'_>, settings: &Settings) -> Result<Option<Output>, Failure> {
///     let number: f64 = message.json()?;
///     Ok((number >= settings.least).then(Output::forward))
/// }
///
/// handler!(handle, config = Settings, wants = ["bodies"], max_messages = 64);
/// # fn main() {}
/// ```
///
/// A column that does not exist is found when the crate is compiled:
///
/// ```compile_fail
/// # fn handle(_: pelton_sdk::Message<'_>) -> Result<(), pelton_sdk::Failure> { Ok(()) }
/// pelton_sdk::handler!(handle, wants = ["body"]);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! handler {
    ($handle:path, config = $settings:ty $(, wants = [$($want:literal),* $(,)?])? $(, max_messages = $messages:expr)? $(, max_bytes = $bytes:expr)? $(,)?) => {
        $crate::__handler! {
            ($settings) (|message, settings| $handle(message, settings))
            ([$($($want),*)?]) (0 $(+ $messages)?) (0 $(+ $bytes)?)
        }
    };
    ($handle:path $(, wants = [$($want:literal),* $(,)?])? $(, max_messages = $messages:expr)? $(, max_bytes = $bytes:expr)? $(,)?) => {
        $crate::__handler! {
            (()) (|message, ()| $handle(message))
            ([$($($want),*)?]) (0 $(+ $messages)?) (0 $(+ $bytes)?)
        }
    };
}

/// What both forms of [`handler!`] come to.
#[doc(hidden)]
#[macro_export]
macro_rules! __handler {
    (($settings:ty) (|$message:ident, $bound:pat_param| $call:expr) ($wants:expr) ($messages:expr) ($bytes:expr)) => {
        // Exporting a symbol by name is `unsafe` to the compiler; the names are the contract's own, exported once.
        #[allow(unsafe_code)]
        const _: () = {
            const WANTS: &[&str] = &$wants;
            const _: () = $crate::__private::check_wants(WANTS);
            static SETTINGS: ::std::sync::OnceLock<$settings> = ::std::sync::OnceLock::new();

            struct Component;

            impl $crate::raw::Lifecycle for Component {
                fn start(
                    config: ::std::vec::Vec<(::std::string::String, ::std::string::String)>,
                ) -> ::core::result::Result<$crate::raw::Plan, ::std::string::String> {
                    $crate::__private::install();
                    $crate::__private::settle_settings(&SETTINGS, &config)?;
                    ::core::result::Result::Ok($crate::__private::plan(WANTS, $messages, $bytes))
                }

                fn stop() {}
            }

            impl $crate::raw::BatchHandler for Component {
                fn handle(batch: $crate::raw::Batch) -> $crate::raw::Handled {
                    match SETTINGS.get() {
                        ::core::option::Option::Some($bound) => {
                            $crate::__private::run(&batch, |$message: $crate::Message<'_>| $call)
                        }
                        ::core::option::Option::None => $crate::__private::not_started(&batch),
                    }
                }
            }

            #[cfg(target_family = "wasm")]
    $crate::raw::export!(Component with_types_in $crate::raw::bindings);
        };
    };
}

/// The columns of the contract's `batch` that a handler can ask for; `none` is for one that reads nothing.
const COLUMNS: &[&str] = &[
    "none",
    "partitions",
    "sequences",
    "attempts",
    "timestamps",
    "subjects",
    "ids",
    "headers",
    "bodies",
    "groups",
    "extra",
];

/// Stops the compilation at a column that does not exist, which would otherwise only be missed.
#[allow(clippy::panic, clippy::indexing_slicing)] // It runs in the compiler, where a panic is an error message.
pub const fn check_wants(wants: &[&str]) {
    let mut want = 0;
    while want < wants.len() {
        let mut column = 0;
        while !equal(wants[want].as_bytes(), COLUMNS[column].as_bytes()) {
            column += 1;
            if column == COLUMNS.len() {
                panic!(
                    "`wants` names a column that does not exist; there are none, partitions, sequences, attempts, \
                     timestamps, subjects, ids, headers, bodies, groups and extra"
                );
            }
        }
        want += 1;
    }
}

/// `==` for byte strings, which constants cannot use yet.
#[allow(clippy::indexing_slicing)] // Within the length that both have.
const fn equal(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

/// Keeps what `config` says for the life of the instance.
pub fn settle_settings<T: DeserializeOwned>(kept: &OnceLock<T>, config: &[(String, String)]) -> Result<(), String> {
    kept.set(settings(config)?).map_err(|_| "start was called twice in one instance".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_kept_once() {
        let kept: OnceLock<()> = OnceLock::new();
        settle_settings(&kept, &[]).unwrap();
        assert_eq!(settle_settings(&kept, &[]).unwrap_err(), "start was called twice in one instance");
    }

    #[test]
    fn every_column_may_be_wanted() {
        check_wants(COLUMNS);
        check_wants(&[]);
    }

    #[test]
    #[should_panic(expected = "names a column that does not exist")]
    fn a_column_that_does_not_exist_is_found() {
        check_wants(&["bodies", "body"]);
    }
}
