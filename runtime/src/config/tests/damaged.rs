//! Whatever the text, reading it ends with a configuration or with errors, and never in a panic.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::environment;
use crate::config::Config;

const ROUNDS: usize = 4_000;

const TEXTS: &[&str] = &[
    include_str!("../../../../config/quakes.yaml"),
    include_str!("../../../../config/bad/aliases.yaml"),
    include_str!("../../../../config/bad/cycles.yaml"),
    include_str!("../../../../config/bad/duplicates.yaml"),
    include_str!("../../../../config/bad/brokers.yaml"),
    include_str!("../../../../config/bad/ranges.yaml"),
    include_str!("../../../../config/bad/serve.yaml"),
    include_str!("../../../../config/bad/storage.yaml"),
    include_str!("../../../../config/bad/types.yaml"),
    include_str!("../../../../config/bad/unknown-keys.yaml"),
    include_str!("../../../../config/bad/variables.yaml"),
];

const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    ",",
    "\n",
    "\n  ",
    "- ",
    "? ",
    "&a ",
    "*a",
    "<<: ",
    "<<: *a\n",
    "!!str ",
    "!x ",
    "|\n",
    ">\n",
    "\"",
    "'",
    "#",
    "---\n",
    "...\n",
    "%YAML 1.2\n",
    "${",
    "}",
    "${A:-",
    "$",
    "~",
    "\t",
    "\0",
    "\u{feff}",
    "\u{85}",
    "é",
    "0",
    "-1",
    "1e999",
    "NaN",
    "99999999999999999999",
];

/// Xorshift: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }

    fn range(&mut self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..start + self.below((length - start).min(40) + 1)
    }
}

fn damage(bytes: &mut Vec<u8>, random: &mut Random) {
    let cut = random.range(bytes.len());
    let at = random.below(bytes.len() + 1);
    match random.below(5) {
        0 => drop(bytes.drain(cut)),
        1 => {
            let copy = bytes[cut].to_vec();
            drop(bytes.splice(at..at, copy));
        }
        2 => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].bytes())),
        3 => drop(bytes.splice(cut, PIECES[random.below(PIECES.len())].bytes())),
        _ => bytes.insert(at, random.below(256) as u8),
    }
}

#[test]
fn damage_gives_errors_and_no_panic() {
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    let given = std::env::var("PELTON_TEST_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed: u64 = given.unwrap_or(clock) | 1;
    // Shown when the test fails.
    println!("PELTON_TEST_SEED={seed}");
    let mut random = Random(seed);
    // No file is found there, and none is made.
    let environment = environment(Path::new("/no/such/directory"));
    let mut refused = 0;
    for _ in 0..ROUNDS {
        let mut bytes = TEXTS[random.below(TEXTS.len())].as_bytes().to_vec();
        if random.below(10) == 0 {
            bytes = (0..random.below(300)).map(|_| random.below(256) as u8).collect();
        }
        for _ in 0..1 + random.below(8) {
            damage(&mut bytes, &mut random);
        }
        let text = String::from_utf8_lossy(&bytes);
        let Err(errors) = Config::parse(&text, "x.yaml", &environment) else {
            continue;
        };
        assert!(!errors.errors.is_empty(), "refused without a reason: {text}");
        assert_eq!(errors.to_string().lines().count(), errors.errors.len(), "{errors}\n{text}");
        refused += 1;
    }
    assert!(refused > ROUNDS / 2, "only {refused} of {ROUNDS} were refused: nothing was damaged");
}
