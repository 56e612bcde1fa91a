//! The `pelton` program: see [`pelton::cli`].

fn main() -> std::process::ExitCode {
    pelton::cli::main()
}
