use super::*;

#[test]
fn what_was_said_last_holds() {
    let output = Output::forward().body("b").subject("s").key("k");
    let given = output.given();
    assert!(!given.inherits_body() && !given.inherits_subject() && !given.inherits_key());
    assert!(given.inherits_headers() && given.inherits_timestamp() && !given.is_forward());
    assert_eq!((given.body(), given.subject(), given.key()), (b"b".as_slice(), Some("s"), Some(b"k".as_slice())));

    let output = output.inherit_body().inherit_subject().inherit_key();
    assert!(output.given().is_forward());
    assert_eq!((output.given().body(), output.given().subject(), output.given().key()), (b"".as_slice(), None, None));

    let output = Output::forward().header(KEY, "by hand");
    assert!(!output.given().inherits_key());
}

#[test]
fn metadata_is_replaced_and_headers_repeat() {
    let output = Output::new("b")
        .header("n", 1)
        .content_type("text/plain")
        .header("n", "two")
        .content_type("text/html")
        .key("old")
        .key("new");
    let given = output.given();
    assert_eq!(
        given.headers().collect::<Vec<_>>(),
        [("n", Value::Integer(1)), ("n", Value::Text("two")), (CONTENT_TYPE, Value::Text("text/html")),]
    );
    assert_eq!(given.key(), Some(b"new".as_slice()));
}

#[test]
fn json_says_what_it_is() {
    let output = Output::json(&[1, 2]).unwrap();
    assert_eq!(output.given().text().unwrap(), "[1,2]");
    assert_eq!(output.given().content_type(), Some("application/json"));
    let failure = Output::json(&std::collections::HashMap::from([(vec![1], 2)])).unwrap_err();
    assert!(failure.is_reject() && failure.reason().starts_with("output does not become JSON: "), "{failure}");
}
