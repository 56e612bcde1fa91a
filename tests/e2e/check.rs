//! What must be refused before anything starts, by `pelton check` and by `pelton run` alike.

use pelton_tests::{Dir, bad_modules, guest, pelton, root};
use std::fs;

#[test]
fn each_bad_configuration_gives_the_errors_beside_it() {
    let mut checked = 0;
    for entry in fs::read_dir(root().join("config/bad")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let expected = fs::read_to_string(path.with_extension("txt")).unwrap();
        let file = format!("config/bad/{}", path.file_name().unwrap().display());
        for command in ["check", "run"] {
            let ended = pelton([command, &file]).env("HOME", "/home/somebody").run().expect(2);
            assert_eq!(ended.stderr.trim_end(), expected.trim_end(), "{command} {file}");
            assert!(ended.stdout.is_empty(), "{command} {file}");
        }
        checked += 1;
    }
    assert!(checked >= 25, "only {checked} configurations were found");
}

#[test]
fn the_configurations_of_the_project_are_good() {
    for file in ["config/quakes.yaml", "config/quakes-watch.yaml", "config/quakes-disk.yaml"] {
        let ended = pelton(["check", file]).run().expect(0);
        assert!(ended.stderr.is_empty(), "{}", ended.stderr);
        assert_eq!(ended.lines().last(), Some(&format!("{file}: ok, 3 streams, 1 handlers").as_str()));
    }
}

#[test]
fn each_bad_module_is_named_with_its_reason() {
    let dir = Dir::new();
    let modules = bad_modules();
    let mut config = "streams: { in: { from: stdin }, out: { to: stdout } }\nhandlers:\n".to_owned();
    let mut handler = |name: &str, module: &std::path::Path| {
        config += &format!("  {name}: {{ module: {}, stream: in, output: out }}\n", module.display());
    };
    for module in &modules {
        handler(&module.name, &dir.write(&format!("{}.wasm", module.name), &module.bytes));
    }
    handler("good", &guest("echo"));
    let config = dir.write("modules.yaml", config);
    for command in ["check", "run"] {
        let ended = pelton([command.as_ref(), config.as_os_str()]).stdin("a\n").run().expect(2);
        for module in &modules {
            let file = format!("{}.wasm: ", dir.path(&module.name).display());
            let line = ended.stderr.lines().find(|line| line.contains(&file));
            let line = line.unwrap_or_else(|| panic!("{command}: {} is not refused:\n{}", module.name, ended.stderr));
            assert!(module.reasons.iter().any(|reason| line.contains(reason)), "{command}: {}: {line}", module.name);
        }
        assert!(!ended.stderr.contains("echo.wasm: "), "{}", ended.stderr);
        assert!(!ended.lines().contains(&"a"), "{command}: a message was handled");
    }
}

#[test]
fn a_module_that_is_no_file_is_refused() {
    let dir = Dir::new();
    fs::create_dir(dir.path("directory.wasm")).unwrap();
    for (name, why) in [("missing.wasm", "No such file or directory"), ("directory.wasm", "is a directory")] {
        let module = dir.path(name);
        let config = dir.write(
            "module.yaml",
            format!(
                "streams: {{ in: {{ from: stdin }}, out: {{ to: stdout }} }}\n\
                 handlers: {{ h: {{ module: {}, stream: in, output: out }} }}\n",
                module.display()
            ),
        );
        for command in ["check", "run"] {
            let ended = pelton([command.as_ref(), config.as_os_str()]).run().expect(2);
            let expected = format!("handlers.h.module: '{}' cannot be read: {why}", module.display());
            assert!(ended.stderr.contains(&expected), "{}", ended.stderr);
            assert!(ended.stdout.is_empty());
        }
    }
}
