//! `sealos` packs an application or a whole cluster into one OCI image, carries it, serves it and installs it.

pub mod kubefile;
