//! Builds, carries, serves and runs cluster images: the library behind the `sealos` command.

/// Go-template dialect for `*.tmpl`, Helm charts and `--format`; Handlebars for `*.hbs`.
pub mod template;
