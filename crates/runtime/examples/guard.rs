//! A worker's supervisor as a program of its own. The tests of this crate start their workers under it, as the product
//! starts them under itself; `cargo test` builds it beside the tests.

fn main() -> std::process::ExitCode {
    process::guard::main(std::env::args_os().skip(1))
}
