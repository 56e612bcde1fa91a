//! Compiled code that is kept: used when it is whole, compiled again when it is not.

use pelton::config::HandlerConfig;
use pelton::wasm::{Cache, EngineOptions, Module, ModuleOptions, WasmEngine};
use pelton_tests::{Dir, guest};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Loads the guest `echo`; whether its code was in the cache.
async fn was_cached(engine: &WasmEngine, cache: &Cache) -> bool {
    let config = HandlerConfig { output: Some("out".into()), ..HandlerConfig::new("echo", &guest("echo"), "in") };
    let module = Module::load(engine, Some(cache), &config.module, ModuleOptions::new(&config)).await.unwrap();
    module.info().was_cached
}

/// The only entry.
fn entry(directory: &Path) -> PathBuf {
    let entries: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    let [entry] = entries.as_slice() else { panic!("not one entry: {entries:?}") };
    entry.clone()
}

#[tokio::test]
async fn a_damaged_entry_is_compiled_again() {
    type Damage = fn(&mut Vec<u8>);
    let dir = Dir::new();
    let directory = dir.path("cache");
    let engine = WasmEngine::new(EngineOptions { instances: 4, ..EngineOptions::default() }).unwrap();
    let cache = Cache::open(&directory).unwrap();
    assert!(!was_cached(&engine, &cache).await);
    assert!(was_cached(&engine, &cache).await);

    let damages: [(&str, Damage); 6] = [
        ("a bit of the hash", |code| code[0] ^= 1),
        ("a bit of the code", |code| {
            let middle = code.len() / 2;
            code[middle] ^= 1;
        }),
        ("the last bit", |code| *code.last_mut().unwrap() ^= 0x80),
        ("cut in the code", |code| code.truncate(code.len() / 2)),
        ("cut in the hash", |code| code.truncate(31)),
        ("empty", Vec::clear),
    ];
    let good = fs::read(entry(&directory)).unwrap();
    for (what, damage) in damages {
        let mut damaged = good.clone();
        damage(&mut damaged);
        fs::write(entry(&directory), damaged).unwrap();
        assert!(!was_cached(&engine, &cache).await, "used with damage: {what}");
        assert!(was_cached(&engine, &cache).await, "not mended: {what}");
    }
}

#[tokio::test]
async fn other_settings_have_entries_of_their_own() {
    let dir = Dir::new();
    let cache = Cache::open(&dir.path("cache")).unwrap();
    for memory in [16 << 20, 64 << 20] {
        let engine = WasmEngine::new(EngineOptions { instances: 4, memory }).unwrap();
        // Whether the pool's size changes the code is wasmtime's affair; a module must load either way, and then be kept.
        was_cached(&engine, &cache).await;
        assert!(was_cached(&engine, &cache).await, "not kept with {memory} bytes of memory");
    }
}

#[test]
fn a_directory_that_others_may_write_to_is_refused() {
    let dir = Dir::new();
    for mode in [0o777, 0o720, 0o702] {
        let directory = dir.path(&format!("{mode:o}"));
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
        let error = Cache::open(&directory).unwrap_err().to_string();
        let name = directory.display();
        let expected = format!("others may write to the cache directory {name}; take that away by `chmod go-w {name}`");
        assert_eq!(error, expected);
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "something was left in it");
    }
    let file = dir.write("file", "");
    assert!(Cache::open(&file).unwrap_err().to_string().contains(&file.display().to_string()));
}
