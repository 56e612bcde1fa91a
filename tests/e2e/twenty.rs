//! The handler is swapped twenty times while messages flow.

use crate::reload::stamped;
use pelton::config::Config;
use pelton::host::Host;
use pelton_tests::{Dir, LIMIT, cache, guest};
use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

const MESSAGES: usize = 100_000;
const SWAPS: usize = 20;

/// Every message is settled exactly once, by one generation, and each generation handles some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_swaps_under_a_hundred_thousand_messages() {
    let dir = Dir::new();
    let good = fs::read(guest("stamp")).unwrap();
    let stamp = |n: usize| format!("PELTON-STAMP-{n:03}");
    let module = dir.write("stamp.wasm", &good);
    let mut feed = fs::File::create(dir.path("feed")).unwrap();
    let config = dir.write(
        "twenty.yaml",
        format!(
            "cache: {{ path: {cache} }}\n\
             streams:\n  \
               in: {{ from: {{ file: {feed}, follow: true }} }}\n  \
               out: {{ to: {{ file: {out}, format: json }} }}\n\
             handlers: {{ stamp: {{ module: {module}, stream: in, output: out, workers: 2 }} }}\n",
            cache = cache().display(),
            feed = dir.path("feed").display(),
            out = dir.path("out.ndjson").display(),
            module = module.display(),
        ),
    );
    let host = Host::start(Config::load(&config).unwrap()).await.unwrap();
    let slot = host.pool("stamp").unwrap().work().slot.clone();

    let mut written = 0;
    for n in 1..=SWAPS {
        let changed = stamped(&good, stamp(n).as_bytes().try_into().unwrap());
        // Half of them in place, half by a rename, as compilers and deployments do.
        if n % 2 == 0 {
            dir.write("stamp.wasm", &changed);
        } else {
            dir.replace("stamp.wasm", &changed);
        }
        // While the module is being loaded, messages go on coming; some are kept for each swap that is still to come.
        let (share, most) = (MESSAGES / SWAPS * n, MESSAGES - (SWAPS - n) * 50);
        let begun = Instant::now();
        loop {
            let generation = slot.current();
            let serves = generation.number() == n as u64 + 1 && generation.handled() > 0;
            if serves && written >= share {
                break;
            }
            assert!(begun.elapsed() < LIMIT, "generation {} serves after {n} swaps", generation.number());
            let upto = if serves { (written + 250).min(share) } else { (written + 10).min(most) };
            let lines: String = (written..upto).map(|i| format!("{i}\n")).collect();
            written = written.max(upto);
            feed.write_all(lines.as_bytes()).unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    assert_eq!(written, MESSAGES);
    let input = host.stream("in").unwrap().buffer().unwrap().clone();
    let begun = Instant::now();
    while input.stats().appended < MESSAGES as u64 {
        assert!(begun.elapsed() < LIMIT, "{} of {MESSAGES} read", input.stats().appended);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (report, left) = host.shutdown(LIMIT).await;
    assert_eq!(left, 0);
    assert_eq!((report.handlers[0].handled, report.handlers[0].outputs), (MESSAGES as u64, MESSAGES as u64));
    let by_generation: Vec<u64> = slot.history().iter().map(|g| g.handled()).collect();
    assert_eq!(by_generation.iter().sum::<u64>(), MESSAGES as u64, "settled once, each by one generation");
    assert_eq!(by_generation.len(), SWAPS + 1);
    assert!(by_generation.iter().skip(1).all(|handled| *handled > 0), "{by_generation:?}");

    let mut seen = vec![0; MESSAGES];
    let mut by_stamp: HashMap<String, u64> = HashMap::new();
    for message in dir.json("out.ndjson") {
        seen[message["body"].as_str().unwrap().parse::<usize>().unwrap()] += 1;
        *by_stamp.entry(message["headers"]["stamp"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    assert!(seen.iter().all(|times| *times == 1), "each message came out once");
    for (n, handled) in by_generation.iter().enumerate() {
        assert_eq!(by_stamp.get(&stamp(n)).copied().unwrap_or(0), *handled, "what generation {n} says it handled");
    }
}
