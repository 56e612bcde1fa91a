use crate::guest;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file that is no handler.
pub struct BadModule {
    /// For the file's name.
    pub name: String,
    /// What it holds.
    pub bytes: Vec<u8>,
    /// What the error must say; any of them.
    pub reasons: &'static [&'static str],
}

const BROKEN: &[&str] = &["is not a valid component", "is a core module that cannot be made a component"];

/// Every kind of file that must not become a handler. Random ones differ from run to run; their names tell the seed.
pub fn bad_modules() -> Vec<BadModule> {
    let mut all = Vec::new();
    let mut add = |name: &str, bytes: &[u8], reasons| {
        all.push(BadModule { name: name.to_owned(), bytes: bytes.to_vec(), reasons });
    };
    add("empty", b"", &["is empty"]);
    add("text", b"streams:\n  a: { from: stdin }\n", &["is not WebAssembly"]);

    let good = fs::read(guest("echo")).unwrap();
    add("cut-4", good.get(..4).unwrap(), &["unknown version, or cut off"]);
    for part in [1, 2, 3] {
        let length = good.len() * part / 4;
        add(&format!("cut-{length}"), good.get(..length).unwrap(), BROKEN);
    }
    add("cut-end", good.get(..good.len() - 1).unwrap(), BROKEN);

    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let noise = random(seed, 4096);
    add(&format!("random-{seed}"), &noise, &["is not WebAssembly"]);
    add(&format!("random-core-{seed}"), &[b"\0asm\x01\0\0\0", noise.as_slice()].concat(), BROKEN);
    add(&format!("random-component-{seed}"), &[b"\0asm\x0d\0\x01\0", noise.as_slice()].concat(), BROKEN);

    add(
        "core",
        &component(r#"(module (func (export "handle")))"#),
        &["is a core module that cannot be made a component", "is no handler"],
    );
    add("nothing", &component("(component)"), &["is no handler: it exports nothing"]);
    let other = exporting("", &["wasi:http/incoming-handler@0.2.0"]);
    add("other", &other, &["is no handler: it exports wasi:http/incoming-handler@0.2.0"]);
    let future = exporting("", &["pelton:plugin/batch-handler@0.2.0"]);
    add("future", &future, &["exports pelton:plugin/batch-handler@0.2.0; this host speaks version 0.1"]);
    let hollow = exporting("", &["pelton:plugin/batch-handler@0.1.0"]);
    add("hollow", &hollow, &["does not fit the contract"]);
    let both = exporting("", &["pelton:plugin/batch-handler@0.1.0", "pelton:plugin/message-handler@0.1.0"]);
    add("both", &both, &["exports both handler interfaces"]);
    let sockets = r#"(import "wasi:sockets/tcp@0.2.0" (instance))"#;
    let sockets = exporting(sockets, &["pelton:plugin/batch-handler@0.1.0"]);
    add("sockets", &sockets, &["imports what is not allowed: wasi:sockets/tcp@0.2.0"]);
    add("refuse", &fs::read(guest("refuse")).unwrap(), &["its `start` refused: refused on purpose"]);
    all
}

/// A component, or a core module, from its text.
pub fn component(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

/// A component with these interfaces as exports, all of them empty.
fn exporting(imports: &str, names: &[&str]) -> Vec<u8> {
    let exports: String = names.iter().map(|name| format!("(export \"{name}\" (instance $empty))")).collect();
    component(&format!("(component {imports} (instance $empty) {exports})"))
}

/// SplitMix64.
fn random(mut seed: u64, length: usize) -> Vec<u8> {
    let mut next = || {
        seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    std::iter::repeat_with(|| next().to_le_bytes()).flatten().take(length).collect()
}
