#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use pelton_sdk::raw::BatchHandler;
use pelton_sdk::testing;

use super::*;

fn one(body: &str) -> Result<Output, Failure> {
    let mut outputs = obey(testing::message().attempt(2).body(body).message())?;
    assert_eq!(outputs.len(), 1);
    Ok(outputs.remove(0))
}

fn many(bodies: &[&str]) -> raw::Handled {
    let fixtures: Vec<_> = bodies.iter().map(|body| testing::message().body(body)).collect();
    Misbehave::handle(testing::batch(&fixtures))
}

#[test]
fn what_harms_nobody_is_done_as_told() {
    assert!(one("hello").unwrap().given().is_forward());
    assert!(one("sleep 1").unwrap().given().is_forward());
    assert!(one("log here I am").unwrap().given().is_forward());
    assert_eq!(one("output 5").unwrap().given().body(), b"xxxxx");
    assert!(one("retry").unwrap_err().is_retry());
    assert_eq!(one("retry-after 20\n").unwrap_err().after(), Some(Duration::from_millis(20)));
    assert!(one("reject").unwrap_err().is_reject());
    assert!(one("fail-until 3").unwrap_err().is_retry());
    assert!(one("fail-until 2").unwrap().given().is_forward());
    assert_eq!(one("sleep long").unwrap_err().reason(), "`long` is no number");
}

#[test]
fn copies_are_left_to_the_host() {
    let handled = many(&["copies 3 of this"]);
    assert_eq!((handled.outputs.inputs.as_slice(), handled.outputs.bodies.data.len()), ([0, 0, 0].as_slice(), 0));
}

#[test]
fn fewer_leaves_the_rest_for_later() {
    let handled = many(&["a", "reject", "fewer", "columns"]);
    assert_eq!((handled.considered, handled.failures.len()), (2, 1));
    assert_eq!(handled.outputs.inputs, [0]);
    assert_eq!(many(&["fewer", "a"]).considered, 0);
}

#[test]
fn every_lie_is_told() {
    let honest = many(&["a", "b"]);
    let mut told = vec![honest];
    let lies = ["ends", "outside", "length", "index", "text", "inputs", "order", "considered", "failures", "kinds"];
    for lie in lies {
        let handled = many(&["a", &format!("columns {lie}")]);
        assert!(!told.contains(&handled), "{lie} is like another answer");
        told.push(handled);
    }
    assert_eq!(many(&["a", "columns"]), told[1]);
}
