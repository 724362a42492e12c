//! The program `sealos`.

fn main() {}
