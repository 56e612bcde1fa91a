//! `pelton inspect`.

use pelton_tests::{Dir, component, guest, pelton};

/// What stands behind a name, in all its lines.
fn values<'a>(lines: &[&'a str], name: &str) -> Vec<&'a str> {
    lines.iter().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).map(str::trim).collect()
}

#[test]
fn a_handler_is_described() {
    for (module, world) in [("echo", "pelton:plugin/batch-handler"), ("records", "pelton:plugin/message-handler")] {
        let path = guest(module);
        let bytes = std::fs::read(&path).unwrap();
        let ended = pelton(["inspect".as_ref(), path.as_os_str()]).run().expect(0);
        let lines = ended.lines();
        // The layer in the preamble: a core module where Debian's toolchain built the guest.
        let kind = if bytes[6] == 0 { "core module with an embedded component type" } else { "component" };
        assert_eq!(values(&lines, "kind"), [kind]);
        assert_eq!(values(&lines, "size"), [format!("{} bytes", bytes.len())]);
        assert_eq!(values(&lines, "world"), [world]);
        assert_eq!(values(&lines, "lifecycle"), ["yes"]);
        assert!(values(&lines, "export").contains(&format!("{world}@0.1.0").as_str()), "{lines:?}");
        assert!(!values(&lines, "import").is_empty());
        assert!(!ended.stderr.contains("error"), "{}", ended.stderr);
        let hash = values(&lines, "blake3")[0];
        assert!(hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()), "{hash}");
    }
}

#[test]
fn what_is_not_allowed_is_shown() {
    let dir = Dir::new();
    let text = r#"(component (import "wasi:sockets/tcp@0.2.0" (instance)) (instance $i)
                    (export "pelton:plugin/batch-handler@0.1.0" (instance $i)))"#;
    let module = dir.write("sockets.wasm", component(text));
    let ended = pelton(["inspect".as_ref(), module.as_os_str()]).run().expect(2);
    assert_eq!(values(&ended.lines(), "kind"), ["component"]);
    assert_eq!(values(&ended.lines(), "import"), ["wasi:sockets/tcp@0.2.0  (not allowed)"]);
    assert_eq!(values(&ended.lines(), "lifecycle"), ["no"]);
}

#[test]
fn what_is_no_handler_is_described_all_the_same() {
    let dir = Dir::new();
    let module = dir.write("nothing.wasm", component("(component)"));
    let ended = pelton(["inspect".as_ref(), module.as_os_str()]).run().expect(2);
    assert!(values(&ended.lines(), "world")[0].starts_with("none: it is no handler"), "{:?}", ended.lines());

    let text = dir.write("text.wasm", "hello");
    let ended = pelton(["inspect".as_ref(), text.as_os_str()]).run().expect(2);
    assert_eq!(
        ended.stderr.trim_end(),
        format!("{}: is not WebAssembly: it does not begin with \\0asm", text.display())
    );
    assert!(ended.stdout.is_empty());
}
