//! What the user sees while work goes on ([`Event`], [`Reporter`]) and how facts are shown (sizes, times, tables).
//!
//! ```text
//! copy, build, execute ── Event ──▶ Reporter ──▶ stderr
//! content::Event ── Watch ──┘        terminal | plain lines | JSON lines | quiet | collecting
//! ```
//!
//! Invariants: results go to stdout and never pass here; a reporter never fails the work it reports on; events of one
//! blob come in the order that [`content::Event`] documents.

mod causes;
mod collecting;
mod event;
mod json_lines;
mod plain;
pub mod size;
pub mod table;
mod tally;
mod terminal;
pub mod time;

pub use causes::causes;
pub use collecting::Collecting;
pub use event::{Event, OutputStream, Quiet, Reporter, Step, StepState, Watch};
pub use json_lines::JsonLines;
pub use plain::Plain;
pub use terminal::Terminal;
