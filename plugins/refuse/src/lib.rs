//! Refuses to start: what a host does with such a module is for its tests to see.

use pelton_sdk::raw;

pub struct Refuse;

impl raw::Lifecycle for Refuse {
    fn start(_config: Vec<(String, String)>) -> Result<raw::Plan, String> {
        Err("refused on purpose".to_owned())
    }

    fn stop() {}
}

impl raw::BatchHandler for Refuse {
    fn handle(batch: raw::Batch) -> raw::Handled {
        raw::Handled { considered: batch.count, ..raw::Handled::default() }
    }
}

#[cfg(target_family = "wasm")]
raw::export!(Refuse with_types_in raw::bindings);

#[cfg(test)]
mod tests {
    use pelton_sdk::raw::Lifecycle;

    #[test]
    fn it_refuses() {
        assert_eq!(super::Refuse::start(vec![]), Err("refused on purpose".to_owned()));
    }
}
